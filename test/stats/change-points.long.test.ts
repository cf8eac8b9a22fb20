/** False alarms of change points, over more series. */
import "./change-points.test.js";
