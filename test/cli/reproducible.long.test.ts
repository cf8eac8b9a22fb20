import "./reproducible.test.js";
