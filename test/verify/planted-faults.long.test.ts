import "./planted-faults.test.js";
