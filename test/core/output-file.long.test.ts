import "./output-file.test.js";
