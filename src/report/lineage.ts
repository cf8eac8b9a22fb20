/** Which document was made from which: by the digest a document carries, never by its path, which may have moved. */
import type { InputRef } from "../schema/common.js";
import type { Plan } from "../schema/plan.js";
import type { Documents, Shown } from "./types.js";

export type Role = "profile" | "calibration" | "plan";

export interface Input {
  role: Role;
  ref: InputRef;
  found: Found;
}

export type Found =
  /** the document itself is on this page */
  | { state: "given"; document: Shown }
  /** one of its name is, and has another digest */
  | { state: "other"; document: Shown }
  | { state: "absent" };

/** What a document says it was made from. */
export function inputsOf(shown: Shown, documents: Documents): Input[] {
  return refsOf(shown).map(({ role, ref }) => ({ role, ref, found: find(role, ref, documents) }));
}

function refsOf({ document }: Shown): { role: Role; ref: InputRef }[] {
  switch (document.kind) {
    case "draftplan/plan":
    case "draftplan/comparison":
      return madeFrom(document.inputs);
    case "draftplan/verification":
      return [{ role: "plan", ref: document.plan }, ...madeFrom(document.inputs)];
    case "draftplan/export":
      return [{ role: "plan", ref: document.plan }];
    case "draftplan/profile":
    case "draftplan/calibration":
    case "draftplan/targets":
      return [];
  }
}

const madeFrom = (inputs: Plan["inputs"]): { role: Role; ref: InputRef }[] =>
  inputs === undefined
    ? []
    : [
        { role: "profile", ref: inputs.profile },
        { role: "calibration", ref: inputs.calibration },
      ];

function find(role: Role, ref: InputRef, documents: Documents): Found {
  const candidates = documents.all.filter(({ document }) => document.kind === `draftplan/${role}`);
  const same = candidates.find(({ sha256 }) => sha256 === ref.sha256);
  if (same !== undefined) return { state: "given", document: same };
  const namesake = candidates.find(({ path }) => fileName(path) === fileName(ref.path));
  return namesake === undefined ? { state: "absent" } : { state: "other", document: namesake };
}

export const fileName = (path: string): string => path.split(/[\\/]/).at(-1) || path;

/** The plan that a verification ran, where it was given too. */
export const planOf = (
  { document }: Shown<"draftplan/verification">,
  { plans }: Documents,
): Shown<"draftplan/plan"> | undefined => plans.find(({ sha256 }) => sha256 === document.plan.sha256);

/** Plans that were made from a profile. */
export const plansFrom = ({ sha256 }: Shown<"draftplan/profile">, { plans }: Documents): Shown<"draftplan/plan">[] =>
  plans.filter(({ document }) => document.inputs?.profile.sha256 === sha256);

/** The farthest context that plans draw this profile on to; undefined: none does. */
export function extrapolatedTo(profile: Shown<"draftplan/profile">, documents: Documents): number | undefined {
  const ends = plansFrom(profile, documents).flatMap(({ document }) => document.extrapolated?.to_context_tokens ?? []);
  return ends.length === 0 ? undefined : Math.max(...ends);
}
