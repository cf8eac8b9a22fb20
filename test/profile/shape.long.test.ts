import "./shape.test.js";
