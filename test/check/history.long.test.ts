import "./history.test.js";
