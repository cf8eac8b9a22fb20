/**
 * SWIFT (arXiv:2410.06916): the blocks to skip are searched for by trying them. Random sets and, every few trials, the set
 * that a Gaussian process expects the largest improvement of; a trial's worth is what it measures on the text at hand.
 *
 * SWIFT skips a fixed share of the blocks (0.45 of a large model) and maximises the share of matching tokens. A small model
 * does not bear that share, so several are tried here, and what is maximised is the expected speed. Trials are fewer than
 * the paper's thousand: as many as fit a calibration.
 */

import { type Continuation, fillCache, spansBackwards } from "../calibrate/continuation.js";
import { draftPass } from "../calibrate/draft-pass.js";
import type { Engine } from "../runtime/engine.js";
import { MAX_PASS_TOKENS } from "../runtime/limits.js";
import { type ChoiceSet, choiceKey, targetChoices } from "../schema/choice.js";
import { seededRandom } from "../stats/random.js";
import { expectedImprovement, type GaussianProcess, gaussianProcess } from "./gaussian-process.js";
import type { MethodContext, MethodRequest, Proposal, Propose } from "./types.js";

const TRIALS = 48;
/** A trial in so many is the Gaussian process's. */
const BAYES_EVERY = 3;
/** Sets the process chooses among. */
const CANDIDATES = 200;
const SHARES = [0.05, 0.1, 0.2, 0.3, 0.45];
const PROPOSED = 3;
/** Tokens of a round when a set is tried. */
const ROUND = 8;

interface Trial {
  skipped: boolean[];
  value: number;
}

export interface Search {
  blocks: number;
  trials: number;
  random: () => number;
  /** to be maximised */
  worth: (skipped: readonly boolean[]) => Promise<number>;
}

/** Trials, best first. */
export async function search({ blocks, trials, random, worth }: Search): Promise<Trial[]> {
  const draw = (): boolean[] => {
    const share = SHARES[Math.floor(random() * SHARES.length)];
    return Array.from({ length: blocks }, () => random() < share);
  };
  const found: Trial[] = [];
  const tried = new Set<string>();
  for (let i = 0; i < trials; i++) {
    const skipped = i % BAYES_EVERY === BAYES_EVERY - 1 ? mostPromising(found, draw, random) : draw();
    const key = skipped.join();
    if (tried.has(key)) continue;
    tried.add(key);
    found.push({ skipped, value: await worth(skipped) });
  }
  return found.sort((a, b) => b.value - a.value);
}

/** Of random sets and of neighbours of the best, the one of greatest expected improvement. */
function mostPromising(found: readonly Trial[], draw: () => boolean[], random: () => number): boolean[] {
  const best = found.reduce((a, b) => (b.value > a.value ? b : a));
  const neighbour = () => best.skipped.map((skip) => (random() < 2 / best.skipped.length ? !skip : skip));
  const candidates = Array.from({ length: CANDIDATES }, (_, i) => (i % 2 === 0 ? draw() : neighbour()));
  const process: GaussianProcess = gaussianProcess(found.map(({ skipped, value }) => ({ x: skipped, y: value })));
  const gain = candidates.map((x) => expectedImprovement(process.at(x), best.value));
  return candidates[gain.indexOf(Math.max(...gain))];
}

const toSet = (skipped: readonly boolean[]): ChoiceSet => ({
  blocks: skipped.map((skip) => (skip ? "skip" : "target")),
  head: "target",
});

/** The target's own keys and values behind the prompt: the trial before left its draft's there. */
function restoreContinuation(engine: Engine, { prompt, ids }: Continuation): void {
  const choices = targetChoices(engine.spec.layers);
  const input = ids.slice(0, -1);
  for (let from = 0; from < input.length; from += MAX_PASS_TOKENS) {
    const piece = input.slice(from, from + MAX_PASS_TOKENS);
    engine.run({ position: prompt.length + from, input: piece, choices, logitRows: 0 });
  }
}

async function proposeAt(request: MethodRequest, { atContext, continuations }: MethodContext): Promise<Proposal[]> {
  const { engine, progress, speed, seed } = request;
  const [text] = continuations;
  if (text === undefined) return [];
  await fillCache(engine, text, progress);
  const spans = spansBackwards(text, ROUND);
  const worth = async (skipped: readonly boolean[]): Promise<number> => {
    const choices = toSet(skipped);
    restoreContinuation(engine, text);
    let [hits, steps] = [0, 0];
    for (const span of spans) {
      await progress.tick();
      const round = draftPass(engine, text, span, choices, null);
      const miss = round.hits.indexOf(false);
      hits += miss === -1 ? round.hits.length : miss;
      steps += miss === -1 ? round.hits.length : miss + 1;
    }
    return Math.log(speed(choices, atContext, hits / steps));
  };
  const random = seededRandom(seed, atContext).float;
  const trials = await search({ blocks: 2 * engine.spec.layers, trials: TRIALS, random, worth });
  const sets = trials.slice(0, PROPOSED).map(({ skipped }) => toSet(skipped));
  return [...new Map(sets.map((set) => [choiceKey(set), set])).values()].map((set) => ({ atContext, set }));
}

export const swift: Propose = async (request) => {
  const proposals: Proposal[] = [];
  for (const context of request.contexts) proposals.push(...(await proposeAt(request, context)));
  return proposals;
};
