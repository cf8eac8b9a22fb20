/** Programs of every other tiny model. */
import { describePrograms } from "./program-cases.js";
import { QUICK_PROGRAMS } from "./program-models.js";
import { MODELS } from "./support.js";

for (const [name, model] of MODELS) if (!QUICK_PROGRAMS.includes(name)) describePrograms(name, model);
