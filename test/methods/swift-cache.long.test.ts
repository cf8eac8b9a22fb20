import "./swift-cache.test.js";
