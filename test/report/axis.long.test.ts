import "./axis.test.js";
