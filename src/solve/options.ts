/** What may be run at a context: drafts with a length, and what each reaches there. */
import { type ChoiceSet, choiceKey } from "../schema/choice.js";
import { rankedFrontier } from "./candidates.js";
import { type SolvedDrafter, self } from "./drafter.js";
import { curveFromRate, tokensPerSecond } from "./objective.js";
import { contextFor, type Problem, supportedLength, surrogateLoss } from "./problem.js";
import { expectedRate, fitCorrection } from "./surrogate.js";
import { headsOptions } from "./trees/options.js";

/** A drafter with its length, and what it reaches at one context. */
export interface Option {
  key: string;
  drafter: SolvedDrafter;
  /** of a tree its depth */
  draftTokens: number;
  /** [d+1] the curve it was chosen by */
  curve: readonly number[];
  /** positions behind the curve; null: it was not measured */
  tokens: number | null;
  /** rounds that came to each position of the measured curve; undefined: not counted */
  reached?: readonly number[] | undefined;
  evidence: "choose" | "surrogate";
  tokensPerSecond: number;
}

/** Every measured draft at every length, or, where nothing is measured, the surrogate's best; and every tree of heads. */
export const optionsAt = (problem: Problem, n: number): Option[] => optionsOver(problem, [n])(n);

/**
 * The options at any context of a range. Where nothing is measured, drafts have to be the same at neighbouring contexts to
 * be planned across both, so there they are the surrogate's best at each of `contexts`; and so are the heads' trees.
 */
export function optionsOver(problem: Problem, contexts: readonly number[]): (n: number) => Option[] {
  const ofSelf = problem.drafters.includes("self") ? selfOptions(problem, contexts) : () => [];
  const ofHeads = problem.drafters.includes("heads") ? headsOptions(problem, contexts) : () => [];
  const known = new Map<number, Option[]>();
  return (n) => {
    let options = known.get(n);
    if (options === undefined) {
      options = [...ofSelf(n), ...ofHeads(n)];
      known.set(n, options);
    }
    return options;
  };
}

function selfOptions(problem: Problem, contexts: readonly number[]): (n: number) => Option[] {
  const sets = new Map<string, ChoiceSet>();
  for (const n of contexts)
    if (!isMeasured(problem, n)) for (const set of bestBySurrogate(problem, n)) sets.set(choiceKey(set), set);
  return (n) => (isMeasured(problem, n) ? measuredOptions(problem, n) : estimated(problem, n, [...sets.values()]));
}

const isMeasured = (problem: Problem, n: number): boolean =>
  problem.measuredOnly === true || contextFor(problem, n).measured.some(({ part }) => part === "choose");

const bestBySurrogate = (problem: Problem, n: number): ChoiceSet[] =>
  rankedFrontier(problem, n, fitCorrection(contextFor(problem, n)))
    .slice(0, 1)
    .map(({ set }) => set);

function measuredOptions(problem: Problem, n: number): Option[] {
  const measured = contextFor(problem, n).measured.filter(({ part }) => part === "choose");
  return measured.flatMap(({ set, key, curve, tokens, reached }) => {
    const supported = curve.slice(0, supportedLength({ curve, reached }) + 1);
    return atEveryLength(problem, n, { set, key, curve: supported, tokens, reached, evidence: "choose" });
  });
}

function estimated(problem: Problem, n: number, sets: readonly ChoiceSet[]): Option[] {
  const context = contextFor(problem, n);
  const correction = fitCorrection(context);
  return sets.flatMap((set) => {
    const rate = expectedRate(correction, surrogateLoss(context.losses, set));
    const curve = curveFromRate(rate, problem.maxDraft);
    return atEveryLength(problem, n, { set, key: choiceKey(set), curve, tokens: null, evidence: "surrogate" });
  });
}

function atEveryLength(
  { latency, maxDraft }: Problem,
  n: number,
  { key, set, ...draft }: Omit<Option, "draftTokens" | "tokensPerSecond" | "drafter"> & { set: ChoiceSet },
): Option[] {
  const draftUs = latency.draftUs(set, n);
  const drafter = self(set);
  return Array.from({ length: Math.min(maxDraft, draft.curve.length - 1) }, (_, i) => {
    const curve = draft.curve.slice(0, i + 2);
    const round = { acceptanceCurve: curve, draftUs, verifyUs: latency.verifyUs(n, i + 1), roundUs: latency.roundUs };
    const speed = tokensPerSecond(round);
    return { ...draft, drafter, key: `${i + 1}|${key}`, draftTokens: i + 1, curve, tokensPerSecond: speed };
  });
}
