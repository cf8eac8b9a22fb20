import "./ort-engine-lifecycle.test.js";
