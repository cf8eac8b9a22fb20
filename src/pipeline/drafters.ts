/** What `--drafters` means, and which drafters a plan was solved with. */
import { DraftplanError } from "../core/errors.js";
import { modelBeside, modelSeenFrom } from "../model/hub/cached.js";
import type { Calibration } from "../schema/calibration.js";
import type { Loaded } from "../schema/document.js";
import type { Plan } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import { DRAFTER_KINDS, type DrafterKind, modelsOfBoth } from "../solve/index.js";

/** @throws OPTION_INVALID for a name that is no drafter that a plan can be solved for */
export function parseDrafters(names: readonly string[]): DrafterKind[] {
  const kinds = names.map((name) => (isNamedModel(name) ? "model" : name));
  const bad = kinds.find((name) => !(DRAFTER_KINDS as readonly string[]).includes(name));
  if (bad === undefined) return DRAFTER_KINDS.filter((kind) => kinds.includes(kind));
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `--drafters ${names.join(",")}`,
    what: `'${bad.slice(0, 40)}' is no drafter that a plan is solved for`,
    remedy: `Use any of: ${DRAFTER_KINDS.join(",")}. Heads and models are named by what was measured: draftplan calibrate --drafters heads:PATH,model:PATH`,
  });
}

/** Solved with the model's own blocks alone, unless the plan says more. */
export const draftersOf = ({ drafters = ["self"] }: Plan): DrafterKind[] => parseDrafters(drafters);

const isNamedModel = (name: string): boolean => name.startsWith("model:") && name.length > "model:".length;

/**
 * `model:PATH` has to be a model that the calibration knows, and those that it knows are all weighed.
 * @throws OPTION_INVALID
 */
export function requireNamedModels(names: readonly string[], { document, path }: Loaded<Calibration>): void {
  const asked = names.filter(isNamedModel).map((name) => name.slice("model:".length));
  if (asked.length === 0) return;
  const measured = [...new Set((document.models ?? []).map((one) => one.path))];
  const placeOf = (one: string) => modelSeenFrom(path, one);
  const places = asked.map(placeOf);
  const known = measured.map((one) => modelSeenFrom(path, modelBeside(path, one)));
  const at = `--drafters ${names.join(",")}`;
  const missing = asked.find((_, i) => !known.includes(places[i]));
  const measure = "Measure the models to weigh: draftplan calibrate MODEL --drafters self,lookup,model:PATH";
  if (missing !== undefined)
    throw new DraftplanError({
      code: "OPTION_INVALID",
      at,
      what: `${path} knows no model ${missing}`,
      remedy: measure,
    });
  const beside = measured.find((_, i) => !places.includes(known[i]));
  if (beside !== undefined)
    throw new DraftplanError({
      ...{
        code: "OPTION_INVALID" as const,
        at,
        what: `${path} knows ${beside} as well, and all that it knows are weighed`,
      },
      remedy: `Say model, which means all of them. ${measure}`,
    });
}

/**
 * Drafters that were asked for beside the model's own blocks are weighed, or it is said why not.
 * @throws DRAFTER_UNAVAILABLE where they were not measured; OPTION_INVALID where the method chooses blocks alone
 */
export function requireMeasured(
  kinds: readonly DrafterKind[],
  profile: Profile,
  calibration: Calibration,
  method: string,
): void {
  const others = kinds.filter((kind) => kind !== "self");
  if (method !== "knapsack" && others.length > 0) throw blocksAlone(method, others[0]);
  for (const kind of kinds) {
    const missing = notMeasured(kind, profile, calibration);
    if (missing !== null) throw missing;
  }
}

/**
 * Where the user names nobody: of what an engine has a form for, what was measured, since nobody asked for the rest. What is
 * named has to have been measured (requireMeasured).
 * @param kinds      that the engine has; undefined: all of them, or no engine was named
 * @param standalone drafts have a cache of their own, as only the model's own blocks are planned; null: they have not
 */
export function weighedFor(
  kinds: readonly DrafterKind[] | undefined,
  profile: Loaded<Profile>,
  calibration: Loaded<Calibration>,
  standalone: object | null,
): DrafterKind[] | undefined {
  if (kinds === undefined) return undefined;
  const possible = standalone === null ? kinds : (["self"] as const);
  return possible.filter((kind) => notMeasured(kind, profile.document, calibration.document) === null);
}

/** Why a drafter cannot be weighed; null where it can. */
function notMeasured(kind: DrafterKind, profile: Profile, calibration: Calibration): DraftplanError | null {
  switch (kind) {
    case "self":
      return null;
    case "heads":
      return headsNotMeasured(profile, calibration);
    case "lookup":
    case "hybrid":
      return calibration.lookup === undefined ? unavailable(kind, "calibration", "no lookup", "lookup") : null;
    case "model":
      if (calibration.models === undefined) return unavailable("model", "calibration", "no other model", "model:PATH");
      return modelsOfBoth(profile, calibration).length === 0
        ? unavailable("model", "profile", "none of the calibration's other models", "model:PATH")
        : null;
  }
}

const unavailable = (kind: DrafterKind, document: "calibration" | "profile", what: string, asked: string) =>
  new DraftplanError({
    code: "DRAFTER_UNAVAILABLE",
    at: `--drafters ${kind}`,
    what: `the ${document} knows ${what}`,
    remedy: `Measure it: draftplan ${document === "calibration" ? "calibrate" : "profile"} MODEL --drafters self,${asked}; or leave ${kind} out`,
  });

function headsNotMeasured(profile: Profile, calibration: Calibration): DraftplanError | null {
  const known = (calibration.heads ?? []).map(({ sha256 }) => sha256);
  const both = known.some((sha256) => profile.heads?.some((other) => other.sha256 === sha256));
  if (both) return null;
  const [document, verb] =
    known.length === 0
      ? ["calibration", "calibrate --drafters heads:PATH"]
      : ["profile", "profile --drafters heads:PATH"];
  return new DraftplanError({
    code: "DRAFTER_UNAVAILABLE",
    at: "--drafters heads",
    what: `the ${document} knows no heads${known.length === 0 ? "" : " that the calibration knows"}`,
    remedy: `Measure them: draftplan ${verb}; or leave heads out: --drafters self`,
  });
}

const blocksAlone = (method: string, kind: DrafterKind) =>
  new DraftplanError({
    code: "OPTION_INVALID",
    at: `--method ${method} --drafters ${kind}`,
    what: `${method} chooses blocks of the model, and ${kind === "heads" ? "heads have" : `a ${kind} has`} none`,
    remedy: "Leave one of the two options out.",
  });
