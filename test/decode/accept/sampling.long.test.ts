import "./sampling.test.js";
