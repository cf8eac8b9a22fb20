/**
 * The stage: a running model in, the latency surface t(n, q) of its parts out.
 *
 * No block is timed by itself. Whole passes with different choices are timed over the grid (sweep.ts), and what each part
 * costs is what explains those times best (fit.ts, regression.ts).
 */

import { type Progress, silentProgress } from "../core/progress.js";
import type { Clock, Engine } from "../runtime/engine.js";
import type { Profile } from "../schema/profile.js";
import { type Random, seededRandom } from "../stats/random.js";
import { fillCache } from "./fill.js";
import type { Grid } from "./grid.js";
import { type LoopOverhead, measureLoop } from "./loop-overhead.js";
import { queryLine as queryLineOf } from "./query-line.js";
import { drawRounds } from "./resample.js";
import { digits } from "./round.js";
import type { Recorder } from "./samples.js";
import { steadinessOf, warnOfUnrest } from "./steadiness.js";
import { precisionReached, type StopRule, unmetCriteria } from "./stop.js";
import { surface } from "./surface.js";
import { type Sweep, sweep } from "./sweep.js";

export interface ProfileOptions extends Grid {
  engine: Engine;
  clock: Clock;
  seed?: number;
  /** bounds all measuring, the filling of the cache included; left out: the default, for the sweep alone */
  budgetSeconds?: number;
  /** when that time began to count; default: with the call */
  startUs?: number;
  /** measured however long it takes */
  minRounds?: number;
  /** enough even where there is time for more */
  maxRounds?: number;
  /** wanted relative standard error of the whole target's median; null: rounds and time alone decide */
  precisionPercent?: number | null;
  /** bootstrap draws; 0: none, and nothing downstream says how sure it is */
  draws?: number;
  progress?: Progress;
  /** keeps raw samples, and has those of earlier sweeps */
  recorder?: Recorder | undefined;
  /** what was measured is kept when the progress is interrupted, if it suffices; left out: the interruption is thrown */
  onInterrupted?: ((reason: unknown) => void) | undefined;
}

/** What the stage knows of a profile; model, device and kernels are its caller's. */
export type Measured = Pick<
  Profile,
  "grid" | "points" | "query_line" | "errors" | "loop" | "attention_line" | "shapes"
> & {
  sampling: NonNullable<Profile["sampling"]>;
};

/** On two cores: SmolLM2-135M spends the budget (some 15 rounds), the embedded model is done in ten seconds. */
export const DEFAULTS = { seed: 1, budgetSeconds: 55, minRounds: 5, maxRounds: 24 } as const;

/**
 * Measures the surface over a grid.
 * @throws CONTEXT_LIMIT where the engine's cache is too small for it
 */
export async function profileModel(options: ProfileOptions): Promise<Measured> {
  const { contexts, queries, queryLine, seed = DEFAULTS.seed, progress = silentProgress } = options;
  const random = seededRandom(seed);
  const beginUs = options.startUs ?? options.clock.nowUs();
  const loop = await fillAndDecode(options, random); // before the sweep, which gets the time that is left
  const rule = stopRule(options);
  const swept = await runSweep(options, rule, beginUs);
  const steadiness = steadinessOf({ contexts, queries }, swept.observations);
  warnOfUnrest(steadiness, progress);
  const draws = drawRounds(swept.rounds, random, options.draws);
  const { layers } = options.engine.spec;
  return {
    ...(await surface({ contexts, queries }, swept, layers, draws, fittingProgress(swept, progress))),
    ...(queryLine.length === 0 ? {} : { query_line: lineOf(contexts[0], queryLine, swept) }),
    loop: { round_us: digits(loop.roundUs), step_us: digits(loop.stepUs) },
    sampling: { rounds: swept.rounds, ...stopOf(swept, rule), seed, ...steadiness },
  };
}

/** What comes before the sweep: memory that was written, and the time of the decoding loop itself. */
async function fillAndDecode(options: ProfileOptions, random: Random): Promise<LoopOverhead> {
  const { engine, clock, contexts, queries, progress = silentProgress } = options;
  const ids = Array.from({ length: 64 }, () => random.index(engine.spec.vocabSize));
  await fillCache(engine, contexts[contexts.length - 1] + queries[queries.length - 1], ids, progress);
  return measureLoop(engine, clock, ids, progress);
}

function runSweep(options: ProfileOptions, rule: StopRule, beginUs: number): Promise<Sweep> {
  const { engine, clock, contexts, queries, queryLine, recorder, onInterrupted } = options;
  const { seed = DEFAULTS.seed, progress = silentProgress } = options;
  return sweep({
    ...{ engine, clock, contexts, queries, queryLine, seed, progress, recorder, onInterrupted, ...rule },
    startUs: options.budgetSeconds === undefined ? clock.nowUs() : beginUs,
  });
}

/** After an interruption the progress would throw again, and what was measured is to be fitted. */
const fittingProgress = ({ stoppedBy }: Sweep, progress: Progress): Progress =>
  stoppedBy === "interrupted" ? { ...progress, tick: async () => {} } : progress;

function lineOf(context: number, queries: number[], { queryLines }: Sweep): NonNullable<Profile["query_line"]> {
  const line = queryLineOf(context, queries, queryLines);
  return { ...line, target_us: line.target_us.map(digits) };
}

const stopRule = (options: ProfileOptions): StopRule => ({
  minRounds: options.minRounds ?? DEFAULTS.minRounds,
  maxRounds: options.maxRounds ?? DEFAULTS.maxRounds,
  precisionPercent: options.precisionPercent ?? null,
  budgetUs: 1e6 * (options.budgetSeconds ?? DEFAULTS.budgetSeconds),
});

function stopOf({ stoppedBy, rounds, elapsedUs, observations }: Sweep, rule: StopRule) {
  const precisionPercent = precisionReached(observations);
  return {
    stopped_by: stoppedBy,
    unmet: unmetCriteria(rule, { rounds, elapsedUs, precisionPercent }),
    precision_percent: Number.isFinite(precisionPercent) ? digits(precisionPercent) : null,
  };
}
