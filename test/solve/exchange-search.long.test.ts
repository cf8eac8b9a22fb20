import "./exchange-search.test.js";
