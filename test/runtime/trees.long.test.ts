import "./trees.test.js";
