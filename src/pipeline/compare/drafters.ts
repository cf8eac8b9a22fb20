/** What `compare --drafters` gives a row: lookups, other models, and a lookup beside another drafter. */
import { DraftplanError } from "../../core/errors.js";
import type { DraftModelFile } from "../drafting/draft-models.js";
import { type GivenDocuments, seenFromHere } from "./heads.js";

/** Drafters that a row can be for; heads have theirs wherever they are known. */
const DRAFTER_ROWS = ["lookup", "model", "hybrid"] as const;
export type DrafterRow = (typeof DRAFTER_ROWS)[number];

export interface ComparedDrafters {
  rows: readonly DrafterRow[];
  /** models to open: those named, or those that the given documents have measured */
  models: readonly string[];
}

/**
 * @param names `lookup`, `model:PATH`, `model` for those of the given documents, `hybrid`; `self` and `heads` have rows anyway
 * @throws OPTION_INVALID for anything else, DRAFTER_UNAVAILABLE for what a given document has not measured
 */
export function comparedDrafters(names: readonly string[] | undefined, given: GivenDocuments): ComparedDrafters {
  const at = `--drafters ${(names ?? []).join(",")}`;
  const rows = new Set<DrafterRow>();
  const paths = new Set<string>();
  for (const name of names ?? []) {
    if (name === "self" || name === "heads") continue;
    if (name === "lookup" || name === "hybrid") rows.add(name);
    else if (name === "model" || (name.startsWith("model:") && name.length > "model:".length)) {
      rows.add("model");
      for (const path of name === "model" ? modelsOf(given, at) : [name.slice("model:".length)]) paths.add(path);
    } else throw noRow(at, name);
  }
  const { calibration } = given;
  const wanted = DRAFTER_ROWS.filter((row) => rows.has(row));
  if (looksUp(wanted) && calibration !== null && calibration.document.lookup === undefined)
    throw unmeasured(at, calibration.path, "a lookup", "lookup");
  return { rows: wanted, models: [...paths] };
}

/** Whether a lookup has a part in some row. */
export const looksUp = (rows: readonly DrafterRow[]): boolean => rows.includes("lookup") || rows.includes("hybrid");

function modelsOf({ profile, calibration }: GivenDocuments, at: string): string[] {
  const document = calibration ?? profile;
  const found = document === null ? [] : (seenFromHere(document.document, document.path).models ?? []);
  if (found.length > 0) return found.map(({ path }) => path);
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at,
    what: "no document given has measured another model",
    remedy: "Name one: --drafters model:PATH.",
  });
}

/** @throws DRAFTER_UNAVAILABLE where a given document has not measured a model that is to have a row */
export function requireMeasuredModels(
  files: readonly DraftModelFile[],
  { profile, calibration }: GivenDocuments,
): void {
  for (const { path, checkpoint } of files)
    for (const document of [profile, calibration]) {
      const known = document?.document.models ?? [];
      if (document === null || known.some(({ weights_sha256 }) => weights_sha256 === checkpoint.weightsSha256))
        continue;
      throw unmeasured(`--drafters model:${path}`, document.path, checkpoint.spec.name, `model:${path}`);
    }
}

const noRow = (at: string, name: string) =>
  new DraftplanError({
    code: "OPTION_INVALID",
    at,
    what: `'${name.slice(0, 60)}' is no drafter that gets a row`,
    remedy:
      "Use any of: lookup,model:PATH,hybrid. Own blocks have the rows of --methods, and heads one where they are known.",
  });

const unmeasured = (at: string, file: string, what: string, name: string) =>
  new DraftplanError({
    code: "DRAFTER_UNAVAILABLE",
    at,
    what: `${file} has not measured ${what}`,
    remedy: `Measure it, profile and calibrate with --drafters self,${name}, or leave the document out.`,
  });
