import "./ci.test.js";
