/** From the passes of a sweep to the points of the surface, with what the profile says of its own error. */
import type { Progress } from "../../core/progress.js";
import type { ProfilePoint } from "../../schema/profile.js";
import { hundredths, significant } from "../../stats/numbers.js";
import type { Axes } from "../grid.js";
import type { Observation } from "../sweep/pass.js";
import type { ProgramDeck } from "../sweep/programs.js";
import type { Sweep } from "../sweep/sweep.js";
import { attentionLines } from "./attention-line.js";
import { heldOutErrors, holdOut, leftOutContextErrors, summariseErrors } from "./held-out.js";
import { fitLineWithErrors, type LayerErrors, type PointCosts, type Shape, stepped, straight } from "./line-fit.js";
import { residualPercent } from "./predict.js";
import { type RawPoints, rawPoints } from "./raw-points.js";
import {
  type Levelled,
  levelled,
  type Resampled,
  resampleSteps,
  resampleVerification,
  wholeTargetUs,
} from "./resample.js";
import { ShapeSearch } from "./shape.js";

/** What the surface is made of. */
interface Measured {
  axes: Axes;
  layers: number;
  rounds: number;
  /** [draws + 1] the first is the sample itself */
  draws: Levelled[];
  /** the programs that were timed: no layer is told from others of its class by them; null: passes drawn anew */
  deck: ProgramDeck | null;
}

/** All contexts of one q. */
interface QueryFit {
  points: ProfilePoint[];
  /** [contexts] */
  costs: PointCosts[];
  shape: Shape;
  layerErrors: LayerErrors;
}

/**
 * Fits the grid, all contexts of a q together.
 * @param draws [draws + 1][rounds] how often each round counts; the first: each once
 */
export async function surface(
  axes: Axes,
  { observations, rounds, deck }: Sweep,
  layers: number,
  draws: readonly (readonly number[])[],
  progress: Progress,
) {
  const assigned = holdOut(observations, deck);
  const measured = { axes, layers, rounds, draws: draws.map((counts) => levelled(assigned, counts)), deck };
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
  const drafts = measured.draws[0].steadied.filter(({ query }) => query === 1);
  return {
    grid: { context_tokens: [...contexts], query_tokens: [...queries] },
    points,
    ...(draws.length === 1 || deck !== null ? {} : { layer_error: toLayerError(steps.layerErrors) }),
    errors: {
      held_out: summariseErrors(
        heldOutErrors(
          drafts.filter(({ heldOut }) => heldOut),
          byContext,
        ),
      ),
      left_out_context: summariseErrors(leftOutContextErrors(drafts, contexts, layers, steps.shape, deck !== null)),
    },
    attention_line: attentionLines(contexts, steps.costs),
    shapes: fits.map(({ shape }, i) => toShape(queries[i], shape)),
  };
}

async function fitQuery(query: number, measured: Measured, tick: () => Promise<void>): Promise<QueryFit> {
  const { layers, draws, deck } = measured;
  const { contexts } = measured.axes;
  const cells = contexts.map((context) => cellOf(context, query, measured));
  const used = cells.flatMap((cell) => cell.used);
  const shapes = new ShapeSearch(
    used,
    layers,
    contexts,
    tick,
    deck === null ? straight(contexts) : stepped(contexts, deck.attnClasses),
  );
  const shape = await shapes.choose();
  const { at, layerErrors } = fitLineWithErrors(used, layers, shape, {
    wholeTargetUs: new Map(cells.map((cell) => [cell.context, cell.wholeTargetUs])),
    pooled: deck !== null,
  });
  const costs = contexts.map(at);
  const resampled =
    draws.length === 1
      ? []
      : query > 1
        ? contexts.map((context) => resampleVerification(draws, context, query))
        : await resampleSteps({ contexts, costs, shapes, layers, draws, tick });
  return { points: cells.map((cell, i) => toPoint(cell, costs[i], resampled[i])), costs, shape, layerErrors };
}

function cellOf(context: number, query: number, { layers, rounds, draws: [sample] }: Measured): Cell {
  const here = (o: Observation) => o.context === context && o.query === query;
  const seen = sample.level.filter(here);
  const steadied = sample.steadied.filter(here);
  const used = steadied.filter(({ heldOut }) => !heldOut);
  const raw = rawPoints({ seen, steadied }, layers, rounds);
  return { context, query, seen, used, wholeTargetUs: wholeTargetUs(sample, context, query) as number, raw };
}

/** Two digits of a standard error tell all it knows. */
const toLayerError = ({ attn, mlp }: LayerErrors) => {
  const shares = (byKernel: LayerErrors["attn"]) =>
    record(byKernel, (layers: number[]) => layers.map((share) => significant(share, 2)));
  return { attn: shares(attn), mlp: shares(mlp) };
};

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
