/** Every case by the engine. */
import "./quantised.test.js";
