import "./profile.test.js";
