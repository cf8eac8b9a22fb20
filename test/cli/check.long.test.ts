import "./check.test.js";
