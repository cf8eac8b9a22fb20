/** The trained heads that stand in a comparison: which folders they lie in, and whether they are those that were measured. */
import { DraftplanError } from "../../core/errors.js";
import type { LocatedHeads } from "../../decode/drafters/heads.js";
import type { Calibration } from "../../schema/calibration.js";
import type { Loaded } from "../../schema/document.js";
import type { Profile } from "../../schema/profile.js";
import { besideOf, draftersRelativeTo } from "../drafting/measured.js";

/** Documents that a comparison is given; null: they are made. */
export interface GivenDocuments {
  profile: Loaded<Profile> | null;
  calibration: Loaded<Calibration> | null;
}

/** A folder of heads, and the digest that a given document knows them by; null: they are measured now. */
export interface ComparedHeads {
  path: string;
  sha256: string | null;
}

/**
 * Heads that can have a row: those that all given documents have measured, or, where none is given, those that lie in the
 * model's folder. A document that is still to be made measures the other's.
 * @param model as the user named it
 */
export function comparedHeads({ profile, calibration }: GivenDocuments, model: string): ComparedHeads[] {
  const given = [calibration, profile].flatMap((document) => (document === null ? [] : [headsOf(document)]));
  if (given.length === 0) return besideOf(model).map((path) => ({ path, sha256: null }));
  const [first, ...others] = given;
  return first.filter(({ sha256 }) => others.every((known) => known.some((one) => one.sha256 === sha256)));
}

const headsOf = ({ document, path }: Loaded<Profile> | Loaded<Calibration>): { path: string; sha256: string }[] =>
  (seenFromHere(document, path).heads ?? []).map((one) => ({ path: one.path, sha256: one.sha256 }));

/** A given document with the folders of its heads as they are found from here. */
export const seenFromHere = <T extends Profile | Calibration>(document: T, path: string): T =>
  draftersRelativeTo(document, "-", path);

/** @throws DIGEST_MISMATCH where a folder holds other heads than the ones that were measured */
export function requireMeasuredHeads(heads: readonly LocatedHeads[], asked: readonly ComparedHeads[]): void {
  const changed = heads.find(({ heads }, i) => asked[i].sha256 !== null && asked[i].sha256 !== heads.sha256);
  if (changed === undefined) return;
  throw new DraftplanError({
    code: "DIGEST_MISMATCH",
    at: changed.path,
    what: "it holds other heads than the documents given have measured",
    remedy: "Put those heads there, leave --profile and --calibration out, or compare other methods: --methods",
  });
}
