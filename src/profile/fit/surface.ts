/** From the passes of a sweep to the points of the surface, with what the profile says of its own error. */
import { median } from "simple-statistics";
import type { Progress } from "../../core/progress.js";
import type { ProfilePoint } from "../../schema/profile.js";
import { hundredths } from "../../stats/numbers.js";
import type { Axes } from "../grid.js";
import type { Observation } from "../sweep/pass.js";
import type { Sweep } from "../sweep/sweep.js";
import { attentionLines } from "./attention-line.js";
import { steady, withoutDrift } from "./drift.js";
import { heldOutErrors, holdOut, leftOutContextErrors, summariseErrors } from "./held-out.js";
import { fitLine, type PointCosts, residualPercent, type Shape, targetTimes } from "./line-fit.js";
import { type RawPoints, rawPoints } from "./raw-points.js";
import { type Resampled, type ResampleLine, resampleSteps, resampleVerification } from "./resample.js";
import { chooseShape } from "./shape.js";

/** What the surface is made of. */
interface Measured {
  axes: Axes;
  layers: number;
  rounds: number;
  /** drift taken out */
  level: Observation[];
  /** slow-downs of whole visits too */
  steadied: Observation[];
  /** what of it the fit uses */
  kept: Observation[];
  draws: readonly number[][];
}

/** All contexts of one q. */
interface QueryFit {
  points: ProfilePoint[];
  /** [contexts] */
  costs: PointCosts[];
  shape: Shape;
}

/** Fits the grid, all contexts of a q together. */
export async function surface(
  axes: Axes,
  { observations, rounds }: Sweep,
  layers: number,
  draws: readonly number[][],
  progress: Progress,
) {
  const level = withoutDrift(observations);
  const steadied = steady(level);
  const { kept, heldOut } = holdOut(steadied);
  const measured = { axes, layers, rounds, level, steadied, kept, draws };
  const { contexts, queries } = axes;
  const fits: QueryFit[] = [];
  for (const query of queries) {
    const done = contexts.length * fits.length;
    const tick = () => progress.tick({ stage: "fit", done, total: contexts.length * queries.length });
    fits.push(await fitQuery(query, measured, tick));
  }
  const [steps] = fits; // q = 1
  const points = fits.flatMap((fit) => fit.points);
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
    shapes: fits.map(({ shape }, i) => toShape(queries[i], shape)),
  };
}

async function fitQuery(query: number, measured: Measured, tick: () => Promise<void>): Promise<QueryFit> {
  const { layers, draws } = measured;
  const { contexts } = measured.axes;
  const cells = contexts.map((context) => cellOf(context, query, measured));
  const used = cells.flatMap((cell) => cell.used);
  const shape = await chooseShape(used, layers, contexts, tick);
  const wholeTargetUs = new Map(cells.map((cell) => [cell.context, cell.wholeTargetUs]));
  const costs = contexts.map(fitLine(used, layers, shape, { wholeTargetUs }));
  const resampled = draws.length === 1 ? [] : await resample(query, { cells, costs, shape, layers, draws, tick });
  return { points: cells.map((cell, i) => toPoint(cell, costs[i], resampled[i])), costs, shape };
}

function cellOf(context: number, query: number, { layers, rounds, level, steadied, kept }: Measured): Cell {
  const here = (o: Observation) => o.context === context && o.query === query;
  const seen = level.filter(here);
  const raw = rawPoints({ seen, steadied: steadied.filter(here) }, layers, rounds);
  return { context, query, seen, used: kept.filter(here), wholeTargetUs: median(targetTimes(seen)), raw };
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

/** One place of the grid. */
interface Cell {
  context: number;
  query: number;
  /** as measured */
  seen: Observation[];
  /** what the fit used of it, slow-downs taken out */
  used: Observation[];
  wholeTargetUs: number;
  raw: RawPoints;
}

const record = <T, U>(values: Partial<Record<string, T>>, to: (value: T) => U) =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, to(value as T)]));

function toPoint(cell: Cell, costs: PointCosts, resampled: Resampled | undefined): ProfilePoint {
  const { context, query, seen, used, wholeTargetUs, raw } = cell;
  return {
    context_tokens: context,
    query_tokens: query,
    fixed_us: hundredths(costs.fixedUs),
    head_us: record(costs.headUs, hundredths),
    attn_us: record(costs.perLayer.attn, (layers) => layers.map(hundredths)),
    mlp_us: record(costs.perLayer.mlp, (layers) => layers.map(hundredths)),
    whole_target_us: hundredths(wholeTargetUs),
    residual_percent: hundredths(residualPercent(costs, used)),
    passes: seen.reduce((sum, { passes }) => sum + passes, 0),
    raw,
    ...(resampled === undefined ? {} : { resampled }),
  };
}
