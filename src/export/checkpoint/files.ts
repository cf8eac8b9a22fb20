/** Files beside the weights. */
import { readFileSync } from "node:fs";
import type { OutputFolder } from "../folder.js";
import type { ExportModel, ModelFile } from "../model.js";

export const fileText = (file: ModelFile): string => ("text" in file ? file.text : readFileSync(file.path, "utf8"));

/** Tokenizer and the like, as the target has them. @throws a system error */
export function writeModelFiles(folder: OutputFolder, { files }: ExportModel): void {
  for (const file of files) {
    if ("text" in file) folder.text(file.name, file.text);
    else folder.copy(file.name, file.path);
  }
}
