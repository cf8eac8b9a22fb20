import "./distribution.test.js";
