/**
 * Drafts one step away from a given one: one block or the head changed, or two blocks' choices exchanged. The knapsack
 * needs no such search; what is measured does, since no sum of losses describes it entirely. Under constraints only
 * drafts that keep them; with whole layers a step moves both blocks of a layer.
 */
import { blockKind, blockName, type Choice, type ChoiceSet, choiceKey, headKernels, suits } from "../schema/choice.js";
import { satisfies } from "./constraints.js";
import { bestDraftLength, curveFromRate } from "./objective.js";
import { contextFor, type Problem } from "./problem.js";
import { expectedRateOf, type Surrogate } from "./surrogate.js";

/** A neighbour of a draft, and what it is expected to gain over it. */
export interface Exchange {
  set: ChoiceSet;
  key: string;
  /** expected tokens per second over those of the draft it starts from, less 1 */
  gain: number;
  /** `3.attn skip, 5.mlp int8`: what differs */
  what: string;
}

/** Steps of improveByExchanges; each looks at every neighbour. */
const MOST_STEPS = 8;

/** Every draft that differs from `set` in one choice, or has two blocks' choices exchanged; head last. */
export function neighbours({ choices: offered, limits }: Problem, set: ChoiceSet): ChoiceSet[] {
  const choices: Choice[] = ["target", ...offered];
  const found: ChoiceSet[] = [];
  // what moves together: a block, or a layer's two blocks
  const size = limits.wholeLayers ? 2 : 1;
  const units = set.blocks.filter((_, i) => i % size === 0);
  const withUnits = (moved: readonly Choice[]): ChoiceSet => ({
    ...set,
    blocks: set.blocks.map((_, i) => moved[Math.floor(i / size)]),
  });
  units.forEach((now, i) => {
    for (const choice of choices) if (choice !== now) found.push(withUnits(units.with(i, choice)));
  });
  for (let i = 0; i < units.length; i++) {
    for (let j = i + 1; j < units.length; j++) {
      const [one, other] = [units[i], units[j]];
      if (one !== other) found.push(withUnits(units.with(i, other).with(j, one)));
    }
  }
  for (const kernel of headKernels(choices)) if (kernel !== set.head) found.push({ ...set, head: kernel });
  return found.filter(
    (other) => satisfies(limits, other) && other.blocks.every((choice, i) => suits(choice, blockKind(i))),
  );
}

/**
 * Neighbours of a draft by what they are expected to gain at context n, best first; ties by key.
 * @param except keys of drafts that are not wanted, such as those already measured
 */
export function exchanges(
  problem: Problem,
  n: number,
  surrogate: Surrogate,
  set: ChoiceSet,
  except: ReadonlySet<string>,
): Exchange[] {
  const speed = expectedSpeed(problem, n, surrogate);
  const from = speed(set);
  return neighbours(problem, set)
    .map((other) => ({
      set: other,
      key: choiceKey(other),
      gain: speed(other) / from - 1,
      what: difference(set, other),
    }))
    .filter(({ key }) => !except.has(key))
    .sort((a, b) => b.gain - a.gain || (a.key < b.key ? -1 : 1));
}

/** Follows the best neighbour as long as it is expected to gain. */
export function improveByExchanges(problem: Problem, n: number, surrogate: Surrogate, start: ChoiceSet): ChoiceSet {
  let set = start;
  for (let step = 0; step < MOST_STEPS; step++) {
    const [best] = exchanges(problem, n, surrogate, set, new Set());
    if (best === undefined || best.gain <= 1e-9) break;
    set = best.set;
  }
  return set;
}

function expectedSpeed(problem: Problem, n: number, surrogate: Surrogate): (set: ChoiceSet) => number {
  const context = contextFor(problem, n);
  const { latency, maxDraft } = problem;
  // of thousands of neighbours each would ask for the same ones
  const verifyUs = Array.from({ length: maxDraft + 1 }, (_, d) => latency.verifyUs(n, d));
  return (set) => {
    const rate = expectedRateOf(context, surrogate, set);
    return bestDraftLength({
      draftUs: latency.draftUs(set, n),
      verifyUs: (d) => verifyUs[d],
      roundUs: latency.roundUs + latency.refreshUs(set, n),
      perTokenUs: latency.readingUs(set, n),
      curve: (d) => curveFromRate(rate, d),
      maxDraft,
    }).tokensPerSecond;
  };
}

function difference(from: ChoiceSet, to: ChoiceSet): string {
  const blocks = to.blocks.flatMap((choice, i) => (choice === from.blocks[i] ? [] : [`${blockName(i)} ${choice}`]));
  return [...blocks, ...(from.head === to.head ? [] : [`head ${to.head}`])].join(", ");
}
