/** Both ways to count sockets, and doctor under one of them. */
import "./telemetry.test.js";
