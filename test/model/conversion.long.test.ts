import "./conversion.test.js";
