import "./limited-bound.test.js";
