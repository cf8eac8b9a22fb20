/**
 * The measuring itself: whole passes at one context, in the order in which decoding runs them.
 *
 * A visit to one context does what decoding rounds do: a burst of draft steps of one mask, then a verification by the
 * whole target. A mask's counted round comes after a short one of the same mask that is not counted. So a draft's first
 * step finds the caches as a verification left them, with what remains of the draft's own weights, and the later steps
 * find them as a draft left them. This matters where the weights are about as large as the last-level cache. Embedded
 * model (fp32 42 MB, L3 32 MB), n = 64, int8, two cores of an EPYC, against rounds of one mask only: bursts after another
 * mask's round came out 3 to 4 % too slow, after a partial target pass besides 5 to 6 %, after a short round of their own
 * 1 to 2 %. A step gets cheaper along the whole burst: n = 256, steps 1 to 8 take 1492, 1225, 1173, 1138, 1129, 1098, 1092
 * and 1093 µs, so that bursts of 4 came out 11 to 13 % slower than drafts of 8.
 */
import { median } from "simple-statistics";
import { argmax, type Clock, type Engine } from "../runtime/engine.js";
import { quantisedKernels, uniformChoices } from "../schema/choice.js";
import type { Random } from "../stats/random.js";
import { cornerMasks, draftMask, isTarget, type Mask, targetMask, verifyCorners, verifyMask } from "./masks.js";
import type { Observation, QueryLineRound } from "./observation.js";

/** Draft steps of one mask in a row: a usual draft length, so that its cold first steps count for what they will. */
const BURST = 8;
/** Bursts a visit has at least, when few query lengths are asked for. */
const MIN_BURSTS = 4;

export interface Bench {
  engine: Engine;
  clock: Clock;
  random: Random;
  ids: number[];
}

/** One pass and, as in decoding, the choice of a token from every row of its logits. */
function timePass({ engine, clock, ids }: Bench, mask: Mask, context: number, query: number): number {
  const input = ids.slice(0, query);
  const rows = mask.head ? query : 0;
  const from = clock.nowUs();
  const { logits } = engine.run({ position: context, input, choices: mask.choices, logitRows: rows });
  for (let row = 0; row < rows; row++) argmax(logits, row, engine.spec.vocabSize);
  return clock.nowUs() - from;
}

/**
 * The mean step of a burst: the first as it was, the others as the median of those that followed it. Plain decoding never
 * leaves the target, so there the first does not count. Every step runs at the same position: n in the profile is exact.
 */
function timeBurst(bench: Bench, mask: Mask, context: number): number {
  const times = Array.from({ length: BURST }, () => timePass(bench, mask, context, 1));
  const following = median(times.slice(1));
  return isTarget(mask) ? following : (times[0] + (BURST - 1) * following) / BURST;
}

/** The masks of a visit's bursts: always the target, the corners in turn, the rest at random. */
function burstMasks({ random, engine }: Bench, bursts: number, round: number): Mask[] {
  const { layers } = engine.spec;
  const corners = cornerMasks(layers, engine.kernels);
  const cornered = Math.max(1, Math.floor((bursts - 1) / 2));
  return random.shuffle([
    targetMask(layers),
    ...Array.from({ length: cornered }, (_, i) => corners[(round * cornered + i) % corners.length]),
    ...Array.from({ length: bursts - 1 - cornered }, () => draftMask(random, layers, engine.kernels)),
  ]);
}

/** One stay at a context within a round. */
export interface Visit {
  context: number;
  /** of the verifications, in order */
  lengths: number[];
}

/** A pass in part at q > 1: a corner and a random one by turns. */
function partMask({ random, engine }: Bench, round: number): Mask {
  const { layers } = engine.spec;
  const corners = verifyCorners(layers);
  return (round >> 1) % 2 === 0 ? corners[random.index(corners.length)] : verifyMask(random, layers);
}

/** All measurements of one visit. */
export async function visitContext(
  bench: Bench,
  { context, lengths }: Visit,
  queries: number[],
  at: { round: number; visit: number },
  tick: () => Promise<void>,
) {
  const { engine } = bench;
  const target = targetMask(engine.spec.layers);
  const masks = burstMasks(bench, Math.max(lengths.length, MIN_BURSTS), at.round);
  const seen: Observation[] = [];
  const note = (mask: Mask, query: number, us: number, passes: number) =>
    seen.push({ ...mask, context, query, us, passes, ...at });
  for (const [i, mask] of masks.entries()) {
    const query = lengths.length === 0 ? 1 : lengths[i % lengths.length];
    if (query > 1 && (queries.indexOf(query) + at.round) % 2 === 0) {
      const part = partMask(bench, at.round);
      note(part, query, timePass(bench, part, context, query), 1);
    }
    timePass(bench, mask, context, 1);
    timePass(bench, target, context, query);
    await tick(); // where decoding has it: before a round
    note(mask, 1, timeBurst(bench, mask, context), BURST);
    if (query > 1) note(target, query, timePass(bench, target, context, query), 1);
  }
  return seen;
}

/** The whole target over each of these query lengths, in random order, each after a quantised draft step. */
export async function visitQueryLine(
  bench: Bench,
  context: number,
  queries: readonly number[],
  tick: () => Promise<void>,
): Promise<QueryLineRound> {
  const { random, engine } = bench;
  const { layers } = engine.spec;
  const draft = { choices: uniformChoices(layers, quantisedKernels(engine.kernels)[0] ?? "skip"), head: true };
  const us = new Map<number, number>();
  for (const query of random.shuffle(queries)) {
    timePass(bench, draft, context, 1);
    await tick();
    us.set(query, timePass(bench, targetMask(layers), context, query));
  }
  return queries.map((query) => us.get(query) as number);
}
