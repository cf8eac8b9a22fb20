/** Curves over context and query length: what one attention or MLP block costs, and a whole pass. */
import { quantile } from "simple-statistics";
import { type AttentionKernel, BLOCK_KINDS, type BlockKind, orderedChoices } from "../../schema/choice.js";
import type { Profile, ProfilePoint } from "../../schema/profile.js";
import { figure, numeric } from "../charts/figure.js";
import { type LinePoint, lineChart, lineLegend, type Series } from "../charts/line.js";
import type { SeriesStyle } from "../charts/series.js";
import { counted, duration, timeUnit } from "../format.js";
import type { Html, Part } from "../html.js";
import type { PartCosts } from "../types.js";
import { choiceStyle, MEASURED, NONE, spread } from "./facts.js";

export const BLOCK_NAMES: Record<BlockKind, string> = { attn: "Attention", mlp: "MLP" };

interface CurvePoint {
  n: number;
  us: number;
  /** 95 %, where the profile holds draws over its rounds */
  interval: { lowUs: number; highUs: number } | null;
  /** by the passes of this context alone; none where the profile holds none */
  rawUs: readonly number[];
}

interface Curve {
  name: string;
  style: SeriesStyle;
  points: readonly CurvePoint[];
}

const MAX_QUERIES = 6;
const DOTS = "this context's passes alone, by parts of the sweep";

/** Costs drawn on beyond the profile, to context n. */
export interface Beyond {
  n: number;
  costs: PartCosts;
}

/** @param beyond null: no plan on the page goes beyond the profile */
export function curveFigures(profile: Profile, beyond: Beyond | null): Html[] {
  const queries = spread(profile.grid.query_tokens, MAX_QUERIES);
  const left = queries.length < profile.grid.query_tokens.length;
  const more = left ? " All query lengths are in the table of n and q below." : "";
  return [
    ...BLOCK_KINDS.map((kind) =>
      curveFigure(
        `${BLOCK_NAMES[kind]}, one token in the pass`,
        `One block, mean over the layers.${beyond === null ? "" : " Dashed: extrapolated beyond what was profiled, for a plan on this page."}`,
        kernelCurves(profile, kind, beyond),
      ),
    ),
    curveFigure(
      "Whole pass of the target, q tokens in it",
      `Measured as a whole; q = 1 is a plain step.${more}`,
      queryCurves(
        profile,
        queries,
        (point) => point.whole_target_us,
        ({ whole_target }) => whole_target,
        ({ whole_target }) => whole_target,
      ),
    ),
    ...BLOCK_KINDS.map((kind) =>
      curveFigure(
        `${BLOCK_NAMES[kind]} of the target, q tokens in the pass`,
        `One block, mean over the layers.${more}`,
        queryCurves(
          profile,
          queries,
          (point) => mean(point[`${kind}_us`].target),
          (draws) => draws[kind]?.target,
          (raw) => raw[kind].target,
        ),
      ),
    ),
    ...queryLineFigure(profile),
  ];
}

const mean = (values: readonly number[] = []): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;

/** Points of one query length by rising context. */
export const atQuery = ({ points }: Profile, q: number): ProfilePoint[] =>
  points.filter(({ query_tokens }) => query_tokens === q).sort((a, b) => a.context_tokens - b.context_tokens);

function kernelCurves(profile: Profile, kind: BlockKind, beyond: Beyond | null): Curve[] {
  const points = atQuery(profile, 1);
  const measured = orderedChoices(points.flatMap((point) => Object.keys(point[`${kind}_us`]) as AttentionKernel[]));
  const of = <T>(parts: Partial<Record<AttentionKernel, T>> | undefined, name: AttentionKernel) => parts?.[name];
  const curves = measured.map((kernel) => ({
    kernel,
    name: kernel,
    style: choiceStyle(kernel),
    points: points.flatMap((point) => {
      const layers = of(point[`${kind}_us`], kernel);
      const [factors, raw] = [of(point.resampled?.[kind], kernel), of(point.raw?.[kind], kernel)];
      return layers === undefined ? [] : [curvePoint(point, mean(layers), factors, raw)];
    }),
  }));
  const drawnOn = beyond === null ? [] : curves.map((curve) => curveBeyond(curve, profile, kind, beyond));
  return [...curves, ...drawnOn];
}

/** From the curve's last point on. */
function curveBeyond(
  { kernel, style, points }: Curve & { kernel: AttentionKernel },
  { model }: Profile,
  kind: BlockKind,
  { n, costs }: Beyond,
): Curve {
  const blocks = Array.from({ length: model.layers }, (_, layer) => 2 * layer + BLOCK_KINDS.indexOf(kind));
  const us = mean(blocks.map((index) => costs.blockUs(index, kernel, n, 1)));
  const last = { ...points[points.length - 1], interval: null, rawUs: [] };
  return {
    name: `${kernel}, extrapolated`,
    style: { ...style, dashed: true, hollow: true },
    points: [last, { n, us, interval: null, rawUs: [] }],
  };
}

const queryCurves = (
  profile: Profile,
  queries: readonly number[],
  of: (point: ProfilePoint) => number,
  drawsOf: (draws: NonNullable<ProfilePoint["resampled"]>) => readonly number[] | undefined,
  rawOf: (raw: NonNullable<ProfilePoint["raw"]>) => readonly number[] | undefined,
): Curve[] =>
  queries.map((q, look) => ({
    name: `q = ${q}`,
    style: { look },
    points: atQuery(profile, q).map((point) => {
      const { resampled, raw } = point;
      return curvePoint(point, of(point), resampled && drawsOf(resampled), raw && rawOf(raw));
    }),
  }));

const TAIL = 0.025;

/** @param factors what each bootstrap draw makes of the value */
function curvePoint(
  { context_tokens: n }: ProfilePoint,
  us: number,
  factors: readonly number[] | undefined,
  rawUs: readonly number[] = [],
): CurvePoint {
  if (factors === undefined) return { n, us, interval: null, rawUs };
  const [low, high] = [TAIL, 1 - TAIL].map((share) => quantile([...factors], share));
  return { n, us, interval: { lowUs: us * low, highUs: us * high }, rawUs };
}

function curveFigure(title: string, caption: string, curves: readonly Curve[]): Html {
  const points = curves.flatMap((curve) => curve.points);
  const unit = timeUnit(Math.max(0, ...points.map(({ us }) => us)));
  const isDrawn = withinReach(points);
  const series = curves.map(
    ({ name, style, points }): Series => ({
      ...{ name, style, points: points.map((one) => linePoint(name, one, unit.us)) },
      dots: points.flatMap((one) => rawDots(name, one, unit.us, isDrawn)),
    }),
  );
  const contexts = [...new Set(points.map(({ n }) => n))].sort((a, b) => a - b);
  const raw = points.flatMap(({ rawUs }) => rawUs);
  return figure({
    title,
    caption: [caption, ...captionsOf(points, raw.filter((us) => !isDrawn(us)).length)].join(" "),
    legend: raw.length > 0 ? lineLegend(series, DOTS) : lineLegend(series),
    chart: lineChart({
      x: { label: "context n, tokens", scale: "linear", include: [0], tight: true },
      y: { label: unit.name, scale: "linear", include: [0] },
      series,
      alternative: curves.map(({ name, points }) => `${name}: ${ends(points)}.`).join(" "),
    }),
    data: {
      columns: [numeric("Context, tokens"), ...curves.map(({ name }) => numeric(name))],
      rows: contexts.map((n): Part[] => [n, ...curves.map(({ points }) => cell(points.find((one) => one.n === n)))]),
    },
  });
}

function captionsOf(points: readonly CurvePoint[], left: number): string[] {
  const whiskers = points.some(({ interval }) => interval !== null) ? ["Whiskers: 95 % over rounds."] : [];
  if (left === 0) return whiskers;
  return [...whiskers, `${counted(left, "dot")} ${left === 1 ? "lies" : "lie"} far off and in the table alone.`];
}

/** Of the curves' own height: a dot that one slow pass set far off would leave the curves no room. */
const REACH = { above: 1.5, below: 0.25 };

function withinReach(points: readonly CurvePoint[]): (us: number) => boolean {
  const top = Math.max(0, ...points.map(({ us, interval }) => interval?.highUs ?? us));
  return (us) => us <= REACH.above * top && us >= -REACH.below * top;
}

const linePoint = (name: string, { n, us, interval }: CurvePoint, unitUs: number): Series["points"][number] => ({
  x: n,
  y: us / unitUs,
  ...(interval === null ? {} : { low: interval.lowUs / unitUs, high: interval.highUs / unitUs }),
  title: `${name}, ${n} tokens of context: ${duration(us)}`,
});

const rawDots = (
  name: string,
  { n, rawUs }: CurvePoint,
  unitUs: number,
  isDrawn: (us: number) => boolean,
): LinePoint[] =>
  rawUs
    .filter(isDrawn)
    .map((us) => ({ x: n, y: us / unitUs, title: `${name}, ${n} tokens of context alone: ${duration(us)}` }));

function cell(point: CurvePoint | undefined): Part {
  if (point === undefined) return NONE;
  const { us, interval, rawUs } = point;
  const between = interval === null ? "" : ` (${duration(interval.lowUs)} to ${duration(interval.highUs)})`;
  const raw = rawUs.length === 0 ? "" : `; ${rawUs.map(duration).join(", ")}`;
  return `${duration(us)}${between}${raw}`;
}

function ends(points: readonly CurvePoint[]): string {
  const [first, last] = [points[0], points[points.length - 1]];
  return `${duration(first.us)} at ${first.n} tokens of context, ${duration(last.us)} at ${last.n}`;
}

/** Verification costs a staircase over q, and the grid has few steps of it. */
function queryLineFigure({ query_line: line }: Profile): Html[] {
  if (line === undefined) return [];
  const { query_tokens: queries, target_us: us, context_tokens: n } = line;
  const unit = timeUnit(Math.max(...us));
  return [
    figure({
      title: `Whole pass of the target, context ${n}`,
      caption: "Over every query length q; verification has q = d + 1.",
      chart: lineChart({
        x: { label: "tokens in the pass, q", scale: "linear", integers: true, include: [1], tight: true },
        y: { label: unit.name, scale: "linear", include: [0] },
        series: [
          {
            name: "target",
            style: MEASURED,
            points: queries.map((q, i) => ({ x: q, y: us[i] / unit.us, title: `q = ${q}: ${duration(us[i])}` })),
          },
        ],
        alternative: `${duration(us[0])} with one token in the pass, ${duration(us[us.length - 1])} with ${queries.length}.`,
      }),
      data: {
        columns: [numeric("Tokens in the pass"), numeric("Time")],
        rows: queries.map((q, i): Part[] => [q, duration(us[i])]),
      },
    }),
  ];
}
