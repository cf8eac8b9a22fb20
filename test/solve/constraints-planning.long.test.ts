import "./constraints-planning.test.js";
