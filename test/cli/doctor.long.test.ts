import "./doctor.test.js";
