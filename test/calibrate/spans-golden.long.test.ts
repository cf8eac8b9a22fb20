import "./spans-golden.test.js";
