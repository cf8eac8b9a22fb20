/**
 * The stage: a running model in, the latency surface t(n, q) of its parts out.
 *
 * No block is timed by itself. Whole passes with different choices are timed over the grid (sweep.ts), and what each part
 * costs is what explains those times best (fit.ts, regression.ts).
 */
import { median, min, quantile } from "simple-statistics";
import { type Progress, silentProgress } from "../core/progress.js";
import type { Clock, Engine } from "../runtime/engine.js";
import type { Profile, ProfilePoint } from "../schema/profile.js";
import { attentionLines } from "./attention-line.js";
import { driftPercent, leftOutPercent, steady, withoutDrift } from "./drift.js";
import { fillCache } from "./fill.js";
import { fitLine, type PointCosts, residualPercent, type Shape, straight, targetTimes } from "./fit.js";
import type { Grid } from "./grid.js";
import { heldOutErrors, holdOut, leftOutContextErrors, summariseErrors } from "./honest-error.js";
import { measureLoop } from "./loop-overhead.js";
import { seededRandom } from "./masks.js";
import type { Observation } from "./observation.js";
import { queryLine as queryLineOf } from "./query-line.js";
import { drawRounds, type Resampled, type ResampleLine, resampleSteps, resampleVerification } from "./resample.js";
import type { Recorder } from "./samples.js";
import { chooseShape } from "./shape.js";

import { precisionReached, type StopRule, unmetCriteria } from "./stop.js";
import { type Sweep, sweep } from "./sweep.js";

export interface ProfileOptions extends Grid {
  engine: Engine;
  clock: Clock;
  seed?: number;
  /** bounds all measuring, the filling of the cache included; left out: the default, for the sweep alone */
  budgetSeconds?: number;
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
  recorder?: Recorder;
  /** what was measured is kept when the progress is interrupted, if it suffices; left out: the interruption is thrown */
  onInterrupted?: (reason: unknown) => void;
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

/** Spread of the target's passes above which the profile warns. */
const RESTLESS_PERCENT = 30;
/** Median over minimum above which it warns of contention; a quiet machine has 3 to 15. */
const CONTENTION_PERCENT = 25;
/** Visits left out as too slow above which it warns of the same: a burst need not move the median. */
const LEFT_OUT_PERCENT = 5;
/** Drift over the sweep above which it warns, */
const DRIFT_PERCENT = 5;
/** and as a share of the spread: below it, chance alone makes as much. */
const DRIFT_OF_SPREAD = 0.25;

/**
 * Measures the surface over a grid.
 * @throws CONTEXT_LIMIT where the engine's cache is too small for it
 */
export async function profileModel(options: ProfileOptions): Promise<Measured> {
  const { engine, clock, contexts, queries, queryLine, seed = DEFAULTS.seed, progress = silentProgress } = options;
  const random = seededRandom(seed);
  const ids = Array.from({ length: 64 }, () => random.index(engine.spec.vocabSize));
  const begin = clock.nowUs();
  await fillCache(engine, contexts[contexts.length - 1] + queries[queries.length - 1], ids, progress);
  const loop = await measureLoop(engine, clock, ids, progress); // before the sweep, which gets the time that is left
  const rule = stopRule(options);
  let isInterrupted = false;
  const swept = await sweep({
    ...{ engine, clock, contexts, queries, queryLine, seed, progress, ...rule },
    startUs: options.budgetSeconds === undefined ? clock.nowUs() : begin,
    ...(options.recorder === undefined ? {} : { recorder: options.recorder }),
    ...(options.onInterrupted === undefined
      ? {}
      : {
          onInterrupted: (reason) => {
            isInterrupted = true;
            options.onInterrupted?.(reason);
          },
        }),
  });
  const steadiness = steadinessOf({ contexts, queries }, swept.observations);
  warnOfUnrest(steadiness, progress);
  return {
    ...(await surface(
      { contexts, queries },
      swept,
      engine.spec.layers,
      drawRounds(swept.rounds, random, options.draws),
      isInterrupted ? { ...progress, tick: async () => {} } : progress, // it would throw again
    )),
    ...(queryLine.length === 0 ? {} : { query_line: toLine(queryLineOf(contexts[0], queryLine, swept.queryLines)) }),
    loop: { round_us: digits(loop.roundUs), step_us: digits(loop.stepUs) },
    sampling: { rounds: swept.rounds, ...stopOf(swept, rule), seed, ...steadiness },
  };
}

/** Fits the grid, all contexts of a q together. */
async function surface(
  { contexts, queries }: Axes,
  { observations }: Sweep,
  layers: number,
  draws: readonly number[][],
  progress: Progress,
) {
  const level = withoutDrift(observations);
  const steadied = steady(level);
  const { kept, heldOut } = holdOut(steadied);
  const points: ProfilePoint[] = [];
  const shapes: NonNullable<Profile["shapes"]> = [];
  let steps: { costs: PointCosts[]; shape: Shape } = { costs: [], shape: straight(contexts) };
  for (const query of queries) {
    const cells = contexts.map((context): Cell => {
      const here = (o: Observation) => o.context === context && o.query === query;
      const seen = level.filter(here);
      return { context, query, seen, used: kept.filter(here), wholeTargetUs: median(targetTimes(seen)) };
    });
    const tick = () => progress.tick({ stage: "fit", done: points.length, total: contexts.length * queries.length });
    const used = cells.flatMap((cell) => cell.used);
    const shape = await chooseShape(used, layers, contexts, tick);
    const wholeTargetUs = new Map(cells.map((cell) => [cell.context, cell.wholeTargetUs]));
    const costs = contexts.map(fitLine(used, layers, shape, { wholeTargetUs }));
    if (query === 1) steps = { costs, shape };
    const resampled = draws.length === 1 ? [] : await resample(query, { cells, costs, shape, layers, draws, tick });
    points.push(...cells.map((cell, i) => toPoint(cell, costs[i], resampled[i])));
    shapes.push(toShape(query, shape));
  }
  points.sort((a, b) => a.context_tokens - b.context_tokens || a.query_tokens - b.query_tokens);
  const byContext = new Map(contexts.map((context, i) => [context, steps.costs[i]]));
  const drafts = steadied.filter(({ query }) => query === 1);
  return {
    grid: { context_tokens: [...contexts], query_tokens: [...queries] },
    points,
    errors: {
      held_out: summariseErrors(heldOutErrors(heldOut, byContext)),
      left_out_context: summariseErrors(leftOutContextErrors(drafts, contexts, layers, steps.shape)),
    },
    attention_line: attentionLines(contexts, steps.costs),
    shapes,
  };
}

async function resample(query: number, line: ResampleLine): Promise<Resampled[]> {
  return query === 1 ? resampleSteps(line) : line.cells.map((cell) => resampleVerification(cell, line.draws));
}

const toShape = (query: number, { attnKnots, attnByKernel, mlpRises }: Shape) => ({
  query_tokens: query,
  attn_knots: [...attnKnots],
  attn_by_kernel: attnByKernel,
  mlp_rises: mlpRises,
});

/** The grid proper, without the line of query lengths beside it. */
type Axes = Pick<Grid, "contexts" | "queries">;

/** One place of the grid. */
interface Cell {
  context: number;
  query: number;
  /** as measured */
  seen: Observation[];
  /** what the fit used of it, slow-downs taken out */
  used: Observation[];
  wholeTargetUs: number;
}

/** A hundredth of a µs is far below anything measured. */
const digits = (us: number): number => Math.round(us * 100) / 100;
const record = <T, U>(values: Partial<Record<string, T>>, to: (value: T) => U) =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, to(value as T)]));

const toLine = (line: NonNullable<Profile["query_line"]>) => ({ ...line, target_us: line.target_us.map(digits) });

function toPoint(cell: Cell, costs: PointCosts, resampled: Resampled | undefined): ProfilePoint {
  const { context, query, seen, used, wholeTargetUs } = cell;
  return {
    context_tokens: context,
    query_tokens: query,
    fixed_us: digits(costs.fixedUs),
    head_us: record(costs.headUs, digits),
    attn_us: record(costs.perLayer.attn, (layers) => layers.map(digits)),
    mlp_us: record(costs.perLayer.mlp, (layers) => layers.map(digits)),
    whole_target_us: digits(wholeTargetUs),
    residual_percent: digits(residualPercent(costs, used)),
    passes: seen.reduce((sum, { passes }) => sum + passes, 0),
    ...(resampled === undefined ? {} : { resampled }),
  };
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

/** How quiet the machine was, judged by the whole target's passes. */
function steadinessOf({ contexts, queries }: Axes, observations: readonly Observation[]) {
  const cells = contexts.flatMap((n) =>
    queries.map((q) => targetTimes(observations.filter((o) => o.context === n && o.query === q))),
  );
  return {
    spread_percent: digits(median(cells.map((us) => (100 * (quantile(us, 0.9) - quantile(us, 0.1))) / median(us)))),
    contention_percent: digits(median(cells.map((us) => (100 * (median(us) - min(us))) / min(us)))),
    drift_percent: digits(driftPercent(observations)),
    left_out_percent: digits(leftOutPercent(observations)),
  };
}

function warnOfUnrest(s: ReturnType<typeof steadinessOf>, progress: Progress): void {
  const remedy = "other work shares the processors, and the profile is rough; repeat it when they are idle";
  if (s.spread_percent > RESTLESS_PERCENT)
    progress.warn("PROFILE_SPREAD", `the target's passes spread by ${s.spread_percent.toFixed(0)} %: ${remedy}`);
  if (s.contention_percent > CONTENTION_PERCENT || s.left_out_percent > LEFT_OUT_PERCENT)
    progress.warn(
      "PROFILE_CONTENTION",
      `the target's usual pass takes ${s.contention_percent.toFixed(0)} % longer than its fastest, and ${s.left_out_percent.toFixed(0)} % of the visits were too slow to be used: ${remedy}`,
    );
  if (Math.abs(s.drift_percent) > Math.max(DRIFT_PERCENT, DRIFT_OF_SPREAD * s.spread_percent))
    progress.warn(
      "PROFILE_DRIFT",
      `the machine became ${Math.abs(s.drift_percent).toFixed(0)} % ${s.drift_percent > 0 ? "slower" : "faster"} during the sweep; it is taken out, and the profile stands for the middle of the sweep`,
    );
}
