import "./process.test.js";
