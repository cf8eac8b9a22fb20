/**
 * Why a draft is what it is, at one context: what each block costs and loses, how much quicker or slower the draft would have
 * to be for the knapsack to choose otherwise, what other costs would change, and how sure the choice is.
 */
import { type ChoiceSet, choiceKey, targetChoices } from "../schema/choice.js";
import { constrainedFrontier, hasLimits } from "./constraints.js";
import { drafterKey, type PlannedDraft } from "./drafter.js";
import { speedOf } from "./gain.js";
import type { ParetoPoint } from "./knapsack/multiple-choice.js";
import { lossErrors, type Margin, marginOf } from "./margins.js";
import { optionsAt } from "./options.js";
import { draftUsOf } from "./predict.js";
import { contextFor, type DrafterKind, groupsAt, openProblem, type Problem, type SolveInput } from "./problem.js";
import { expectedRate, fitCorrection } from "./surrogate.js";
import { type TreeReason, treeReason } from "./trees/explain.js";
import {
  acceptanceBy,
  commonEvidence,
  countsBy,
  type Evidence,
  matchBy,
  SLOWER_ATTENTION,
  solvedAt,
  speedupBy,
  type WhatIf,
  withSlowerAttention,
} from "./what-if.js";

/** Another choice, the draft step at which the knapsack makes it, and what that draft is expected to have accepted. */
export interface OtherChoice {
  draftUs: number;
  choice: string;
  acceptance: number;
}

export interface BlockReason {
  /** `12.attn`, `head` */
  block: string;
  choice: string;
  /** µs of a draft step */
  costUs: number;
  /** µs it would take at the target's precision */
  targetUs: number;
  /** its share of −ln α, and that share's standard error */
  loss: number;
  lossStandardError: number;
  /** the nearest quicker draft on the frontier that has another choice; null: none has */
  ifQuicker: OtherChoice | null;
  /** the nearest slower one */
  ifSlower: OtherChoice | null;
  /** against the best draft as quick that has another choice; null: none is, or constraints tie blocks together */
  margin: Margin | null;
  /** share of the profile's draws under which the best measured draft has this choice; null: no draws, or none measured */
  sure: number | null;
}

/** A draft and what it is predicted to gain by what it was chosen by. */
export interface Contender extends PlannedDraft {
  speedup: number;
}

/** A plan's draft at one context. */
export interface ExplainedDraft extends PlannedDraft {
  draftUs: number;
  /** accepted tokens per token drafted up to and including the first rejection */
  acceptance: number;
  /** what acceptance and speedup were measured on */
  evidence: Evidence;
  /** positions behind that, and rounds that came to the last drafted token; null: not measured, not counted */
  positions: number | null;
  rounds: number | null;
  /** standard error of the tokens of a round, as a share of them; null: not counted */
  lengthError: number | null;
  speedup: number;
  /** of the model's own blocks; of heads none */
  blocks: BlockReason[];
  /** of heads; null: the model's own blocks draft */
  tree: TreeReason | null;
}

export interface Explanation {
  contextTokens: number;
  /** the context lies beyond what was profiled: costs are the profile's, drawn on */
  extrapolated: boolean;
  /** µs of a plain step, the loop's own time included */
  targetStepUs: number;
  /** null: plain decoding */
  draft: ExplainedDraft | null;
  /**
   * The best measured draft at this very context (the surrogate's, where none is measured), by what it was chosen by. A plan
   * may have another: one draft serves a whole range. null: none but the target itself is known
   */
  best: Contender | null;
  /** the best by each kind of drafter that is known there, the fastest first */
  byDrafter: Contender[];
  attentionSlower: WhatIf;
  /** times as long as measured that attention takes in it */
  attentionFactor: number;
  /** null past the last profiled context, or the last that the plan's costs are drawn on to */
  twiceTheContext: WhatIf | null;
}

/**
 * @param planned the plan's draft and length there; null: it decodes plainly
 * @throws what openProblem throws; CONTEXT_OUT_OF_RANGE where the context was not profiled
 */
export function explainDraft(input: SolveInput, contextTokens: number, planned: PlannedDraft | null): Explanation {
  const problem = openProblem(input);
  const slower = openProblem({ ...input, profile: withSlowerAttention(input.profile) });
  const twice = 2 * contextTokens;
  const before = { problem, n: contextTokens, draft: planned };
  return {
    contextTokens,
    extrapolated: contextTokens > problem.gridContexts[problem.gridContexts.length - 1],
    targetStepUs: problem.latency.stepUs(contextTokens),
    draft: planned && explained(problem, contextTokens, planned),
    best: bestOf(problem, contextTokens, problem.drafters),
    byDrafter: problem.drafters
      .flatMap((kind) => bestOf(problem, contextTokens, [kind]) ?? [])
      .sort((a, b) => b.speedup - a.speedup),
    attentionSlower: solvedAt(slower, contextTokens, before),
    attentionFactor: SLOWER_ATTENTION,
    twiceTheContext: twice > problem.latency.contextTokens.to ? null : solvedAt(problem, twice, before),
  };
}

function explained(problem: Problem, n: number, draft: PlannedDraft): ExplainedDraft {
  const evidence = commonEvidence([{ problem, n, draft }]) ?? "surrogate";
  return {
    ...draft,
    draftUs: draftUsOf(problem.latency, n, draft, matchBy(evidence, problem, n, draft)),
    acceptance: acceptanceBy(evidence, problem, n, draft),
    evidence,
    ...countsBy(evidence, problem, n, draft),
    speedup: speedupBy(evidence, { problem, n, draft }),
    blocks: draft.drafter.kind === "self" ? blockReasons(problem, n, draft.drafter.set) : [],
    tree: draft.drafter.kind === "heads" ? treeReason(problem, n, draft.drafter, evidence) : null,
  };
}

function bestOf(problem: Problem, n: number, kinds: readonly DrafterKind[]): Contender | null {
  const target = choiceKey(targetChoices(problem.layers));
  const options = optionsAt(problem, n).filter(
    ({ drafter }) => kinds.includes(drafter.kind) && drafterKey(drafter) !== target,
  );
  if (options.length === 0) return null;
  const { drafter, draftTokens, tokensPerSecond } = options.reduce((a, b) =>
    b.tokensPerSecond > a.tokensPerSecond ? b : a,
  );
  return { drafter, draftTokens, speedup: (tokensPerSecond * problem.latency.stepUs(n)) / 1e6 };
}

function blockReasons(problem: Problem, n: number, set: ChoiceSet): BlockReason[] {
  const groups = groupsAt(problem, n);
  const ids = [...set.blocks, set.head];
  const context = contextFor(problem, n);
  const correction = fitCorrection(context);
  const errorOf = lossErrors(context.losses, problem.layers);
  const frontier = constrainedFrontier(problem.limits, groups);
  const chosen = groups.map(({ id, choices }, i) => {
    const choice = choices.find((candidate) => candidate.id === ids[i]);
    if (choice === undefined) throw new Error(`${id} has no choice ${ids[i]}`);
    return choice;
  });
  const costUs = chosen.reduce((sum, choice) => sum + choice.costUs, 0);
  const besidesUs = problem.latency.draftUs(set, n) - costUs; // what belongs to no block
  const sure = agreement(problem, n, set);
  const rateOf = (loss: number) => expectedRate(correction, loss);
  return groups.map(({ id, choices }, i) => ({
    block: id,
    choice: ids[i],
    costUs: chosen[i].costUs,
    targetUs: choices.find((choice) => choice.id === "target")?.costUs ?? chosen[i].costUs,
    loss: chosen[i].loss,
    lossStandardError: errorOf(i, ids[i]),
    ...otherChoices(frontier, i, ids[i], { costUs, besidesUs, rateOf }),
    margin: hasLimits(problem.limits) ? null : marginOf(groups, ids, i, errorOf),
    sure: sure?.[i] ?? null,
  }));
}

/** Along the frontier, by rising cost: where, nearest to the draft's own cost, the group has another choice. */
export function otherChoices(
  frontier: readonly ParetoPoint[],
  group: number,
  choice: string,
  { costUs, besidesUs, rateOf }: { costUs: number; besidesUs: number; rateOf: (loss: number) => number },
): Pick<BlockReason, "ifQuicker" | "ifSlower"> {
  const other = (point: ParetoPoint) => point.chosen[group] !== choice;
  const toOther = (point: ParetoPoint | undefined): OtherChoice | null =>
    point === undefined
      ? null
      : { draftUs: point.costUs + besidesUs, choice: point.chosen[group], acceptance: rateOf(point.loss) };
  return {
    ifQuicker: toOther(frontier.findLast((point) => point.costUs < costUs && other(point))),
    ifSlower: toOther(frontier.find((point) => point.costUs > costUs && other(point))),
  };
}

/** [2L + 1] share of the draws whose best measured draft makes the same choice; null without draws or measured drafts. */
function agreement(problem: Problem, n: number, set: ChoiceSet): number[] | null {
  const options = optionsAt(problem, n).flatMap(({ drafter, evidence, curve }) =>
    drafter.kind === "self" && evidence === "choose" ? [{ set: drafter.set, curve }] : [],
  );
  if (options.length === 0) return null;
  const drawn = problem.resampled();
  if (drawn.length === 0) return null;
  const best = drawn.map((latency) => {
    const speeds = options.map((option) => speedOf(latency, n, option.set, option.curve));
    const winner = options[speeds.indexOf(Math.max(...speeds))];
    return [...winner.set.blocks, winner.set.head];
  });
  return [...set.blocks, set.head].map(
    (choice, i) => best.filter((choices) => choices[i] === choice).length / best.length,
  );
}
