/** Longer texts, and more lengths of drafts. */
import "./standalone.test.js";
