/** Every case by the engine. */
import "./architectures.test.js";
