import "./chat.test.js";
