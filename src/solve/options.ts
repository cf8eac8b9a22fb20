/** What may be run at a context: drafts with a length, and what each reaches there. */
import { type ChoiceSet, choiceKey } from "../schema/choice.js";
import { rankedFrontier } from "./candidates.js";
import { self } from "./drafter.js";
import type { Option } from "./drafting/option.js";
import { textOptions } from "./drafting/options.js";
import { siblingOptions } from "./drafting/siblings.js";
import { curveFromRate, tokensPerSecond } from "./objective.js";
import { contextFor, type Problem, supportedLength, surrogateLoss } from "./problem.js";
import { expectedRate, fitCorrection } from "./surrogate.js";
import { headsOptions } from "./trees/options.js";

/** Every measured draft at every length, or, where nothing is measured, the surrogate's best; and every tree of heads. */
export const optionsAt = (problem: Problem, n: number): Option[] => optionsOver(problem, [n])(n);

/**
 * The options at any context of a range. Where nothing is measured, drafts have to be the same at neighbouring contexts to
 * be planned across both, so there they are the surrogate's best at each of `contexts`; and so are the heads' trees.
 */
export function optionsOver(problem: Problem, contexts: readonly number[]): (n: number) => Option[] {
  const chains = problem.drafters.includes("self") ? selfOptions(problem, contexts) : () => [];
  const siblings = siblingOptions(problem, contexts, chains);
  const ofSelf = (n: number) => [...chains(n), ...siblings(n)];
  const ofHeads = problem.drafters.includes("heads") ? headsOptions(problem, contexts) : () => [];
  const ofText = textOptions(problem, contexts, (n) => [...ofSelf(n), ...ofHeads(n)]);
  const known = new Map<number, Option[]>();
  return (n) => {
    let options = known.get(n);
    if (options === undefined) {
      options = [...ofSelf(n), ...ofHeads(n), ...ofText(n)];
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
  const perTokenUs = latency.readingUs(set, n);
  const roundUs = latency.roundUs + latency.refreshUs(set, n);
  const drafter = self(set);
  return Array.from({ length: Math.min(maxDraft, draft.curve.length - 1) }, (_, i) => {
    const curve = draft.curve.slice(0, i + 2);
    const round = { acceptanceCurve: curve, draftUs, verifyUs: latency.verifyUs(n, i + 1), roundUs };
    const speed = tokensPerSecond({ ...round, perTokenUs });
    return { ...draft, drafter, key: `${i + 1}|${key}`, draftTokens: i + 1, curve, tokensPerSecond: speed };
  });
}
