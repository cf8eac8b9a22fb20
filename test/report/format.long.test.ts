import "./format.test.js";
