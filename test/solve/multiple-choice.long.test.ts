import "./multiple-choice.test.js";
