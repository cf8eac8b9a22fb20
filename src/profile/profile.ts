/**
 * The stage: a running model in, the latency surface t(n, q) of its parts out.
 *
 * No block is timed by itself. Whole passes with different choices are timed over the grid (sweep/), and what each part
 * costs is what explains those times best (fit/, stats/mixed-model.ts).
 */

import { median } from "simple-statistics";
import { type Progress, silentProgress } from "../core/progress.js";
import type { LocatedHeads } from "../decode/drafters/heads.js";
import type { Clock, Engine } from "../runtime/engine.js";
import type { SpannedKernel } from "../schema/choice.js";
import type { Profile } from "../schema/profile.js";
import { isotonic } from "../stats/isotonic.js";
import { hundredths } from "../stats/numbers.js";
import { type Random, seededRandom } from "../stats/random.js";
import { headsCosts } from "./fit/heads.js";
import { drawRounds } from "./fit/resample.js";
import { steadinessOf, warnOfUnrest } from "./fit/steadiness.js";
import { surface } from "./fit/surface.js";
import type { Grid } from "./grid.js";
import { fillCache, type LoopOverhead, measureConfidence, measureLoop, measureRefresh } from "./sweep/before.js";
import type { QueryLineRound } from "./sweep/pass.js";
import type { Recorder } from "./sweep/samples.js";
import { precisionReached, type StopRule, unmetCriteria } from "./sweep/stop.js";
import { type Sweep, sweep } from "./sweep/sweep.js";

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
  /** trained heads, whose passes are timed, and trees beside chains; default: none */
  heads?: readonly LocatedHeads[] | undefined;
  /** trees are timed beside chains without heads too; default: false */
  trees?: boolean | undefined;
  /** of attention, measured beside the engine's kernels (`int8@512`); default: none */
  spans?: readonly SpannedKernel[] | undefined;
  /** ids of a text that passes are made of and the cache is filled with, for mixtures of experts; default: ids at random */
  text?: readonly number[] | undefined;
  /** what was measured is kept when the progress is interrupted, if it suffices; left out: the interruption is thrown */
  onInterrupted?: ((reason: unknown) => void) | undefined;
}

/** What the stage knows of a profile; model, device and kernels are its caller's. */
export type Measured = Pick<
  Profile,
  | "grid"
  | "points"
  | "layer_error"
  | "query_line"
  | "errors"
  | "loop"
  | "heads"
  | "tree_passes"
  | "attention_line"
  | "shapes"
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
    ...headsCosts(options.heads ?? [], swept.headsRounds, draws),
    loop: {
      ...{ round_us: hundredths(loop.roundUs), step_us: hundredths(loop.stepUs) },
      ...(loop.spanUs === null ? {} : { span_us: hundredths(loop.spanUs) }),
      ...(loop.confidenceUs === null ? {} : { confidence_us: hundredths(loop.confidenceUs) }),
    },
    sampling: { rounds: swept.rounds, ...stopOf(swept, rule), seed, ...steadiness },
  };
}

/** What comes before the sweep: memory that was written, and the time of the decoding loop itself. */
async function fillAndDecode(
  options: ProfileOptions,
  random: Random,
): Promise<LoopOverhead & { spanUs: number | null; confidenceUs: number | null }> {
  const { engine, clock, contexts, queries, spans = [], progress = silentProgress } = options;
  const last = contexts[contexts.length - 1];
  const anyIds = Array.from({ length: 64 }, () => random.index(engine.spec.vocabSize));
  const ids = options.text ?? anyIds;
  await fillCache(engine, last + queries[queries.length - 1], ids, progress, options.text !== undefined);
  const spanUs = await measureRefresh({ engine, clock, ids, spans }, last, progress);
  const confidenceUs = measureConfidence(engine, clock, ids);
  return { ...(await measureLoop(engine, clock, ids, progress)), spanUs, confidenceUs };
}

function runSweep(options: ProfileOptions, rule: StopRule, beginUs: number): Promise<Sweep> {
  const { engine, clock, contexts, queries, queryLine, recorder, heads, trees, spans, text, onInterrupted } = options;
  const { seed = DEFAULTS.seed, progress = silentProgress } = options;
  return sweep({
    ...{ engine, clock, contexts, queries, queryLine, seed, progress, recorder, heads, trees, spans, onInterrupted },
    ...{ ...rule, text },
    startUs: options.budgetSeconds === undefined ? clock.nowUs() : beginUs,
  });
}

/** After an interruption the progress would throw again, and what was measured is to be fitted. */
const fittingProgress = ({ stoppedBy }: Sweep, progress: Progress): Progress =>
  stoppedBy === "interrupted" ? { ...progress, tick: async () => {} } : progress;

/** A round this much slower than the usual one is left out, as a visit is (fit/drift.ts). */
const DISTURBED = 1.5;

/**
 * Verification at every query length, not only at those of the grid.
 *
 * Matrix products are done in tiles of rows, so the cost of a pass is a staircase in q, not a line: SmolLM2-135M, fp32,
 * two cores of an EPYC (AVX2, tiles of six rows): 30.6 ms at q = 6, 36.7 at q = 7; 45.3 at q = 12, 51.3 at q = 13. A draft
 * length just below a step is cheaper than its neighbours, and a straight line between q = 5 and q = 9 does not show it.
 * The staircase comes from the matrix products, which do not depend on n, so it is measured at the shortest context.
 *
 * The usual time at each query length: rounds are brought to one level (a slow spell slows a whole round), then the
 * median is taken, and it never falls with q, since more tokens are never less work.
 */
function queryLineOf(
  contextTokens: number,
  queries: readonly number[],
  rounds: readonly QueryLineRound[],
): NonNullable<Profile["query_line"]> {
  const mediansOf = (of: readonly QueryLineRound[]) => queries.map((_, i) => median(of.map((round) => round[i])));
  const usual = mediansOf(rounds);
  const levelled = rounds.flatMap((round) => {
    const slowness = median(round.map((us, i) => us / usual[i]));
    return slowness > DISTURBED ? [] : [round.map((us) => us / slowness)];
  });
  const us = isotonic(mediansOf(levelled.length > 0 ? levelled : rounds));
  return { context_tokens: contextTokens, query_tokens: [...queries], target_us: us };
}

function lineOf(context: number, queries: number[], { queryLines }: Sweep): NonNullable<Profile["query_line"]> {
  const line = queryLineOf(context, queries, queryLines);
  return { ...line, target_us: line.target_us.map(hundredths) };
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
    precision_percent: Number.isFinite(precisionPercent) ? hundredths(precisionPercent) : null,
  };
}
