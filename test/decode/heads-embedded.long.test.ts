import "./heads-embedded.test.js";
