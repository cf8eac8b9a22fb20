import "./limited-frontier.test.js";
