/** The profile and the calibration that a plan was made from, found where it says and unchanged. */
import { DraftplanError } from "../core/errors.js";
import { besideDocument } from "../core/folders.js";
import type { Calibration } from "../schema/calibration.js";
import { type DocumentOf, type Loaded, readDocumentOf } from "../schema/document.js";
import type { Plan } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";

/** The plan's inputs, found and unchanged. @throws INPUTS_MISSING, DIGEST_MISMATCH, what readDocumentOf throws */
export function readInputs(plan: Loaded<Plan>): { profile: Profile; calibration: Calibration } {
  const { inputs } = plan.document;
  if (inputs === undefined) throw missing(`${plan.path}: inputs`, "the plan does not say what it was made from");
  const read = <K extends "profile" | "calibration">(role: K): DocumentOf<`draftplan/${K}`> => {
    const { path, sha256 } = inputs[role];
    const at = `${plan.path}: inputs.${role}`;
    const file = besideDocument(plan.path, path);
    const loaded = readIfThere(`draftplan/${role}`, file, at);
    if (loaded.sha256 !== sha256) throw changed(at, file);
    return loaded.document;
  };
  return { profile: read("profile"), calibration: read("calibration") };
}

function readIfThere<K extends "draftplan/profile" | "draftplan/calibration">(kind: K, file: string, at: string) {
  try {
    return readDocumentOf(kind, file, "document");
  } catch (error) {
    if (error instanceof DraftplanError && error.code === "FILE_NOT_FOUND") throw missing(at, `${file} is not there`);
    throw error;
  }
}

const missing = (at: string, what: string) =>
  new DraftplanError({
    code: "INPUTS_MISSING",
    at,
    what: `${what}, and what is asked for needs the plan's own profile and calibration`,
    remedy: "Put them where the plan says, or make the plan again with draftplan solve.",
  });

const changed = (at: string, file: string) =>
  new DraftplanError({
    code: "DIGEST_MISMATCH",
    at,
    what: `${file} has changed since the plan was made`,
    remedy: "Make the plan again: draftplan solve --profile FILE --calibration FILE -o PLAN",
  });
