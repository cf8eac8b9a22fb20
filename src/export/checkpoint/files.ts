/** Files beside the weights. */
import { readFileSync } from "node:fs";
import type { ModelFile } from "../model.js";

export const fileText = (file: ModelFile): string => ("text" in file ? file.text : readFileSync(file.path, "utf8"));
