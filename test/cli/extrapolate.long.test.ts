import "./extrapolate.test.js";
