/**
 * The measuring itself: whole passes at one context, in the order in which decoding runs them.
 *
 * A visit to one context does what decoding rounds do: a burst of draft steps of the same choices, then a verification by the
 * whole target. A draft's counted steps come after a short round of the same draft, whose step is not counted. So a
 * draft's first step finds the caches as a verification left them, with what remains of the draft's own weights, and the
 * later steps find them as a draft left them. This matters where the weights are about as large as the last-level cache. Embedded
 * model (fp32 42 MB, L3 32 MB), n = 64, int8, two cores of an EPYC, against rounds of one draft only: bursts after another
 * draft's round came out 3 to 4 % too slow, after a partial target pass besides 5 to 6 %, after a short round of their own
 * 1 to 2 %. A step gets cheaper along the whole burst: n = 256, steps 1 to 8 take 1492, 1225, 1173, 1138, 1129, 1098, 1092
 * and 1093 µs, so that bursts of 4 came out 11 to 13 % slower than drafts of 8.
 */
import { median } from "simple-statistics";
import { argmax } from "../../runtime/engine.js";
import { quantisedKernels, uniformChoices } from "../../schema/choice.js";
import type { Bench, Visit } from "./bench.js";
import { cornerPasses, draftPass, partialCorners, partialPass } from "./design.js";
import { isTarget, type Observation, type QueryLineRound, type SweepPass, targetPass } from "./pass.js";
import { timeQueued } from "./queued.js";

/** Draft steps of the same choices in a row: a usual draft length, so that its cold first steps count for what they will. */
const BURST = 8;
/** Bursts a visit has at least, when few query lengths are asked for. */
const MIN_BURSTS = 4;

/** One pass and, as in decoding, the choice of a token from every row of its logits. */
function timePass({ engine, clock, tokens }: Bench, pass: SweepPass, context: number, query: number): number {
  const input = tokens.next(query);
  const rows = pass.head ? query : 0;
  const from = clock.nowUs();
  const { logits } = engine.run({ position: context, input, choices: pass.choices, logitRows: rows });
  for (let row = 0; row < rows; row++) argmax(logits, row, engine.spec.vocabSize);
  return clock.nowUs() - from;
}

/**
 * The mean step of a burst: the first as it was, the others as the median of those that followed it. Plain decoding never
 * leaves the target, so there the first does not count. Every step runs at the same position: n in the profile is exact.
 */
function timeBurst(bench: Bench, pass: SweepPass, context: number): number {
  const times = Array.from({ length: BURST }, () => timePass(bench, pass, context, 1));
  const following = median(times.slice(1));
  return isTarget(pass) ? following : (times[0] + (BURST - 1) * following) / BURST;
}

/** What a visit's bursts run: always the target, the corners in turn, the rest at random. */
function burstPasses({ random, engine, spans = [] }: Bench, bursts: number, round: number): SweepPass[] {
  const { layers } = engine.spec;
  const corners = cornerPasses(layers, engine.kernels, spans, engine.shortHeads);
  const cornered = Math.max(1, Math.floor((bursts - 1) / 2));
  return random.shuffle([
    targetPass(layers),
    ...Array.from({ length: cornered }, (_, i) => corners[(round * cornered + i) % corners.length]),
    ...Array.from({ length: bursts - 1 - cornered }, () =>
      draftPass(random, layers, engine.kernels, spans, engine.shortHeads),
    ),
  ]);
}

/** A pass in part at q > 1: a corner and a random one by turns. */
function partOf({ random, engine }: Bench, round: number): SweepPass {
  const { layers } = engine.spec;
  const corners = partialCorners(layers);
  return (round >> 1) % 2 === 0 ? corners[random.index(corners.length)] : partialPass(random, layers);
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
  const target = targetPass(engine.spec.layers);
  const passes = burstPasses(bench, Math.max(lengths.length, MIN_BURSTS), at.round);
  const seen: Observation[] = [];
  const note = (pass: SweepPass, query: number, us: number, passes: number) =>
    seen.push({ ...pass, context, query, us, passes, ...at });
  for (const [i, pass] of passes.entries()) {
    const query = lengths.length === 0 ? 1 : lengths[i % lengths.length];
    if (query > 1 && (queries.indexOf(query) + at.round) % 2 === 0) {
      const part = partOf(bench, at.round);
      note(part, query, timePass(bench, part, context, query), 1);
    }
    timePass(bench, pass, context, 1);
    const us = timePass(bench, target, context, query);
    if (query > 1) note(target, query, us, 1); // behind a draft of one token
    await tick(); // where decoding has it: before a round
    note(pass, 1, timeBurst(bench, pass, context), BURST);
    if (query > 1) note(target, query, timePass(bench, target, context, query), 1);
  }
  return seen;
}

/** The whole target over each of these query lengths, in random order: queued, or each after a quantised draft step. */
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
  const target = targetPass(layers);
  for (const query of random.shuffle(queries)) {
    if (engine.runQueued === undefined) timePass(bench, draft, context, 1);
    await tick();
    const time = engine.runQueued === undefined ? timePass : timeQueued;
    us.set(query, time(bench, target, context, query));
  }
  return queries.map((query) => us.get(query) as number);
}
