import "./kernels.test.js";
