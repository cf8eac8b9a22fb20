import "./tree-faults.test.js";
