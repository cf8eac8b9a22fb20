/**
 * Why a draft is what it is, at one context: what each block costs and loses, how much faster or slower the draft would have
 * to be for the knapsack to choose otherwise, what other costs would change, and how often the profile's draws agree.
 */
import { type ChoiceSet, choiceKey, expandDraft } from "../schema/choice.js";
import type { Segment } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import { speedOf } from "./gain.js";
import { type ParetoPoint, paretoFrontier } from "./multiple-choice.js";
import { groupsAt, openProblem, type Problem, type SolveInput } from "./problem.js";
import { optionsAt, planSegments } from "./segments.js";

/** Another choice, and the draft step at which the knapsack makes it. */
export interface Turn {
  draftUs: number;
  choice: string;
}

export interface BlockReason {
  /** `12.attn`, `head` */
  block: string;
  choice: string;
  /** µs of a draft step */
  costUs: number;
  /** µs it would take at the target's precision */
  targetUs: number;
  /** its share of −ln α */
  loss: number;
  /** the nearest quicker draft on the frontier that has another choice; null: none has */
  ifQuicker: Turn | null;
  /** the nearest slower one */
  ifSlower: Turn | null;
  /** share of the profile's draws under which the best measured draft has this choice; null: it has no draws */
  sure: number | null;
}

/** What solving again under other conditions gives in the same place. */
export interface WhatIf {
  speculate: boolean;
  draftTokens: number | null;
  speedup: number;
  /** blocks whose choice differs */
  changed: string[];
}

export interface Explanation {
  contextTokens: number;
  draftUs: number;
  blocks: BlockReason[];
  attentionSlower: WhatIf;
  /** null past the last profiled context */
  twiceTheContext: WhatIf | null;
}

/** How much slower attention is supposed to be. */
export const SLOWER_ATTENTION = 1.1;

/** @throws what openProblem throws; CONTEXT_OUT_OF_RANGE where the context was not profiled */
export function explainDraft(input: SolveInput, contextTokens: number, set: ChoiceSet): Explanation {
  const problem = openProblem(input);
  const last = problem.latency.contextTokens.to;
  const slower = openProblem({ ...input, profile: withSlowerAttention(input.profile) });
  return {
    contextTokens,
    draftUs: problem.latency.draftUs(set, contextTokens),
    blocks: blockReasons(problem, contextTokens, set),
    attentionSlower: solvedAt(slower, contextTokens, set),
    twiceTheContext: 2 * contextTokens > last ? null : solvedAt(problem, 2 * contextTokens, set),
  };
}

function blockReasons(problem: Problem, n: number, set: ChoiceSet): BlockReason[] {
  const groups = groupsAt(problem, n);
  const own = [...set.blocks, set.head];
  const frontier = paretoFrontier(groups);
  const chosen = groups.map(({ id, choices }, i) => {
    const choice = choices.find((candidate) => candidate.id === own[i]);
    if (choice === undefined) throw new Error(`${id} has no choice ${own[i]}`);
    return choice;
  });
  const costUs = chosen.reduce((sum, choice) => sum + choice.costUs, 0);
  const besidesUs = problem.latency.draftUs(set, n) - costUs; // what belongs to no block
  const sure = agreement(problem, n, set);
  return groups.map(({ id, choices }, i) => ({
    block: id,
    choice: own[i],
    costUs: chosen[i].costUs,
    targetUs: choices.find((choice) => choice.id === "target")?.costUs ?? chosen[i].costUs,
    loss: chosen[i].loss,
    ...turns(frontier, i, own[i], { costUs, besidesUs }),
    sure: sure?.[i] ?? null,
  }));
}

/** Along the frontier, by rising cost: where, nearest to the draft's own cost, the group has another choice. */
export function turns(
  frontier: readonly ParetoPoint[],
  group: number,
  choice: string,
  { costUs, besidesUs }: { costUs: number; besidesUs: number },
): Pick<BlockReason, "ifQuicker" | "ifSlower"> {
  const other = (point: ParetoPoint) => point.chosen[group] !== choice;
  const toTurn = (point: ParetoPoint | undefined): Turn | null =>
    point === undefined ? null : { draftUs: point.costUs + besidesUs, choice: point.chosen[group] };
  return {
    ifQuicker: toTurn(frontier.findLast((point) => point.costUs < costUs && other(point))),
    ifSlower: toTurn(frontier.find((point) => point.costUs > costUs && other(point))),
  };
}

/** [2L + 1] share of the draws whose best measured draft makes the same choice; null without draws. */
function agreement(problem: Problem, n: number, set: ChoiceSet): number[] | null {
  const drawn = problem.resampled();
  if (drawn.length === 0) return null;
  const options = optionsAt(problem, n);
  const best = drawn.map((latency) => {
    const speeds = options.map((option) => speedOf(latency, n, option.set, option.curve));
    const winner = options[speeds.indexOf(Math.max(...speeds))];
    return [...winner.set.blocks, winner.set.head];
  });
  return [...set.blocks, set.head].map(
    (choice, i) => best.filter((choices) => choices[i] === choice).length / best.length,
  );
}

const withSlowerAttention = (profile: Profile): Profile => ({
  ...profile,
  points: profile.points.map((point) => ({
    ...point,
    attn_us: Object.fromEntries(
      Object.entries(point.attn_us).map(([kernel, us]) => [kernel, us.map((x) => SLOWER_ATTENTION * x)]),
    ),
  })),
});

/** What the plan for this problem does at a context, and which blocks that changes. */
function solvedAt(problem: Problem, n: number, set: ChoiceSet): WhatIf {
  const segment = segmentAt(planSegments(problem), n);
  if (!segment.speculate) return { speculate: false, draftTokens: null, speedup: 1, changed: [] };
  const key =
    segment.draft && `${segment.draft_tokens}|${choiceKey(expandDraft(segment.draft, problem.layers, "plan"))}`;
  const best = optionsAt(problem, n).find((option) => option.key === key);
  const speedup =
    best === undefined ? (segment.predicted?.speedup ?? 1) : (best.tokensPerSecond * problem.latency.stepUs(n)) / 1e6;
  const names = groupsAt(problem, n).map(({ id }) => id);
  const after = best === undefined ? null : [...best.set.blocks, best.set.head];
  const before = [...set.blocks, set.head];
  const changed = after === null ? [] : names.filter((_, i) => after[i] !== before[i]);
  return { speculate: true, draftTokens: segment.draft_tokens ?? null, speedup, changed };
}

const segmentAt = (segments: readonly Segment[], n: number): Segment =>
  segments.find(({ context_tokens: { to } }) => n < to) ?? segments[segments.length - 1];
