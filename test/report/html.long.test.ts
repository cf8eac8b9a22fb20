import "./html.test.js";
