import "./index.test.js";
