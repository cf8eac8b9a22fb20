import "./ort-trees.test.js";
