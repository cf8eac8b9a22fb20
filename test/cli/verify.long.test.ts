import "./verify.test.js";
