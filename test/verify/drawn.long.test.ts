import "./drawn.test.js";
