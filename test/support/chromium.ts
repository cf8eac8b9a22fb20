/** A Chromium for tests, where this machine has one: nothing is downloaded for it. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome", "microsoft-edge"];

/** $DRAFTPLAN_CHROMIUM, or the first of the usual names on the PATH; undefined where there is none */
export function findChromium(): string | undefined {
  const wanted = process.env.DRAFTPLAN_CHROMIUM;
  if (wanted !== undefined && wanted !== "") return wanted;
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
