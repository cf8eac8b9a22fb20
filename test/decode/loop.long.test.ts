import "./loop.test.js";
