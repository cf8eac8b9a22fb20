/** The models and goldens that are too large for the repository: `$DRAFTPLAN_SHARED`, by default `../shared`. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const SHARED = process.env.DRAFTPLAN_SHARED ?? fileURLToPath(new URL("../../../shared", import.meta.url));
export const SMOLLM2 = join(SHARED, "models", "SmolLM2-135M-Instruct.Q4_1.gguf");
export const golden = (name: string): string => join(SHARED, "goldens", name);

/** For `describe.skipIf`: the files that are missing, and a title that says so. */
export function unlessMissing(title: string, ...files: string[]): { skip: boolean; title: string } {
  const missing = files.filter((file) => !existsSync(file));
  return {
    skip: missing.length > 0,
    title: missing.length === 0 ? title : `${title} (skipped: ${missing.join(", ")} absent; set DRAFTPLAN_SHARED)`,
  };
}

export const readJson = <T>(path: string): T => JSON.parse(readFileSync(path, "utf8")) as T;
