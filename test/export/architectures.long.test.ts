/** Every engine with every architecture. */
import "./architectures.test.js";
