import "./methods.test.js";
