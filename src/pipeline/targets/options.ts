/** What `compare --targets … --drafters …` was asked for, checked as far as it can be without a model. */
import { DraftplanError } from "../../core/errors.js";
import { dialectFor } from "../../runtime/providers.js";
import { TARGET_PRECISIONS, type TargetPrecision } from "../../schema/numerics.js";
import type { CompareOptions } from "../compare/options.js";
import type { PipelineContext } from "../context.js";
import { besideOf } from "../drafting/measured.js";
import { type DrafterChoice, drafterName, parseDrafter } from "../drafting.js";

export interface CompareTargetsOptions extends CompareOptions {
  /** precisions; who drafts on each is `drafters`, without it self, lookup, and heads that lie beside the model */
  targets?: string[] | undefined;
}

export interface WaysRequest {
  /** the reference first: what the provider computes in by itself */
  targets: readonly TargetPrecision[];
  /** what was asked for of them; of the reference, where it was not, plain decoding alone */
  asked: readonly TargetPrecision[];
  /** plain decoding first */
  drafters: readonly NamedDrafter[];
}

/** Who drafts, and what documents call it: heads that lie beside the model are `heads`, wherever that is. */
export interface NamedDrafter {
  choice: DrafterChoice;
  name: string;
}

/** Options that a comparison of targets has no use for. */
const OF_METHODS = [
  ["--methods", "methods"],
  ["--profile", "profile"],
  ["--calibration", "calibration"],
  ["--choices", "choices"],
  ["--extrapolate", "extrapolate"],
  ["--temperature", "temperature"],
  ["--top-k", "topK"],
  ["--top-p", "topP"],
  ["--min-p", "minP"],
  ["--repetition-penalty", "repetitionPenalty"],
  ["--seed", "seed"],
  ["--count", "count"],
] as const satisfies (readonly [string, keyof CompareOptions])[];

/** @throws USAGE for options of a comparison of methods, OPTION_INVALID for what is no target or no drafter, or does not run there */
export function waysRequest(
  options: CompareTargetsOptions,
  model: string,
  { provider, targetPrecision }: Pick<PipelineContext, "provider" | "targetPrecision">,
): WaysRequest {
  const { targets } = options;
  const foreign = OF_METHODS.find(([, key]) => options[key] !== undefined);
  if (foreign !== undefined) throw otherComparison(foreign[0]);
  if (targets !== undefined && targetPrecision !== undefined) throw twice();
  const reference = dialectFor(provider).targetPrecision;
  const asked = targets === undefined ? [targetPrecision ?? reference] : targets.map(precisionNamed);
  for (const precision of asked) dialectFor(provider, precision);
  return {
    targets: [...new Set([reference, ...asked])],
    asked: [...new Set(asked)],
    drafters: [{ choice: { kind: "none" }, name: "none" }, ...draftersOf(options.drafters, model)],
  };
}

function precisionNamed(name: string): TargetPrecision {
  const precision = TARGET_PRECISIONS.find((one) => one === name);
  if (precision !== undefined) return precision;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: "--targets",
    what: `'${name.slice(0, 40)}' is no precision that draftplan computes in`,
    remedy: `Use any of: ${TARGET_PRECISIONS.join(",")}.`,
  });
}

/** Besides plain decoding, which is always there. */
function draftersOf(names: readonly string[] | undefined, model: string): NamedDrafter[] {
  const beside = besideOf(model).map((path): NamedDrafter => ({ choice: { kind: "heads", path }, name: "heads" }));
  if (names === undefined) return [named("self"), named("lookup"), ...beside];
  const chosen = names.flatMap((name) => {
    if (name === "heads") {
      if (beside.length === 0) throw noHeads(model);
      return beside;
    }
    const drafter = named(name);
    if (drafter.choice.kind === "plan") throw noPlan();
    return drafter.choice.kind === "none" ? [] : [drafter];
  });
  return [...new Map(chosen.map((one) => [JSON.stringify(one.choice), one])).values()];
}

const named = (text: string): NamedDrafter => {
  const choice = parseDrafter(text);
  return { choice, name: drafterName(choice) };
};

const otherComparison = (at: string) =>
  new DraftplanError({
    code: "USAGE",
    at: `${at} with --targets`,
    what: "it is of the comparison of methods on one target; here each target is profiled, calibrated and planned by itself, and decodes greedily",
    remedy: "Leave it out, or leave --targets out.",
  });

const twice = () =>
  new DraftplanError({
    code: "USAGE",
    at: "--target --targets",
    what: "both say what is served",
    remedy: "Name all precisions in --targets.",
  });

const noHeads = (model: string) =>
  new DraftplanError({
    code: "OPTION_INVALID",
    at: "--drafters heads",
    what: `no heads lie beside ${model}`,
    remedy: "Name their folder: --drafters self,heads:FOLDER.",
  });

const noPlan = () =>
  new DraftplanError({
    code: "OPTION_INVALID",
    at: "--drafters plan",
    what: "each target has a plan of its own here",
    remedy: "Use any of: none,self,lookup,model:PATH,heads:PATH,hybrid.",
  });
