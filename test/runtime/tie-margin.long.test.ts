import "./tie-margin.test.js";
