import "./junit.test.js";
