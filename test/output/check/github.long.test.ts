import "./github.test.js";
