import "./drafters.test.js";
