import "./markdown.test.js";
