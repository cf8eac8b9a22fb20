/** Curves with marks, and where they are known intervals, over one axis each way. */
import { line } from "d3-shape";
import { type Html, html } from "../html.js";
import { type Axis, type AxisSpec, type Box, makeAxis, place, tickRoom, WIDTH, xAxis, yAxis } from "./axis.js";
import { svg } from "./figure.js";
import { DOTS, legend, mark, type SeriesStyle, seriesGroup } from "./series.js";

export interface LinePoint {
  x: number;
  y: number;
  /** an interval around y */
  low?: number;
  high?: number;
  /** shown where a pointer rests on it */
  title: string;
}

export interface Series {
  name: string;
  style: SeriesStyle;
  points: readonly LinePoint[];
  /** small dots beside the marks: single measurements that a curve stands for */
  dots?: readonly LinePoint[];
  /** marks alone: the points are no curve */
  unconnected?: boolean;
}

export interface LineChart {
  x: AxisSpec;
  y: AxisSpec;
  series: readonly Series[];
  /** a line where y = x, over axes of the same scale */
  diagonal?: boolean;
  alternative: string;
}

const PLOT_HEIGHT = 190;
const TOP = 26;
const BELOW = 36;
const MANY_POINTS = 24;
/** Of dots from their place, so that the mark and its whisker do not cover them. */
const DOT_SHIFT = 5;

export function lineChart({ x, y, series, diagonal = false, alternative }: LineChart): Html {
  const points = series.flatMap((one) => [...one.points, ...(one.dots ?? [])]);
  const xs = points.map((point) => point.x);
  const ys = [...points.map((point) => point.y), ...series.flatMap(intervalEnds)];
  const both = [...xs, ...ys];
  const bottom = TOP + PLOT_HEIGHT;
  const up = makeAxis(diagonal ? both : ys, y, [bottom, TOP], false);
  const box: Box = { left: tickRoom(up.ticks), right: WIDTH - 8, top: TOP, bottom };
  const along = makeAxis(diagonal ? both : xs, x, [box.left, box.right], true);
  return svg(
    bottom + BELOW,
    alternative,
    xAxis(along, box),
    yAxis(up, box),
    diagonal && equality(box),
    series.map((one) => drawSeries(one, along, up)),
  );
}

const intervalEnds = ({ points }: Series): number[] =>
  points.flatMap(({ low, high }) => (low === undefined || high === undefined ? [] : [low, high]));

function drawSeries({ points, dots = [], style, unconnected }: Series, x: Axis, y: Axis): Html {
  const path =
    line<LinePoint>(
      (point) => x.at(point.x),
      (point) => y.at(point.y),
    ).digits(1)([...points]) ?? "";
  const crowded = points.length > MANY_POINTS;
  return seriesGroup(
    { ...style, small: crowded },
    ...(unconnected ? [] : [html`<path class="line" d="${path}"/>`]),
    ...points.map((point) => interval(point, x, y)),
    ...dots.map(({ x: at, y: up, title }) => dot(x.at(at) + DOT_SHIFT, y.at(up), title)),
    ...points.map((point) => mark(style, x.at(point.x), y.at(point.y), point.title, crowded ? 16 : 36)),
  );
}

const interval = ({ x, low, high }: LinePoint, along: Axis, up: Axis): Html =>
  low === undefined || high === undefined
    ? html``
    : html`<line class="whisker" x1="${place(along.at(x))}" x2="${place(along.at(x))}" y1="${place(up.at(low))}" y2="${place(up.at(high))}"/>`;

const dot = (x: number, y: number, title: string): Html =>
  html`<circle class="dot" cx="${place(x)}" cy="${place(y)}" r="2.5"><title>${title}</title></circle>`;

/** From corner to corner, since both axes hold the same values. */
const equality = (box: Box): Html =>
  html`<path class="equal" d="M${place(box.left)},${place(box.bottom)}L${place(box.right)},${place(box.top)}"/>`;

/** @param dots what the dots stand for, where there are any */
export const lineLegend = (series: readonly Series[], dots?: string): Html =>
  legend([
    ...series.map(({ name, style, unconnected }) => ({ name, style, drawn: unconnected ? "marks" : "line" }) as const),
    ...(dots === undefined ? [] : [{ name: dots, style: DOTS, drawn: "dots" } as const]),
  ]);
