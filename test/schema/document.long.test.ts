import "./document.test.js";
