/** Rows of intervals over one axis: each row its name, its value, and its marks below them. Names never meet marks. */
import { type Html, html, shorten } from "../html.js";
import { type Axis, type AxisSpec, type Box, makeAxis, place, TEXT_HEIGHT, textWidth, WIDTH, xAxis } from "./axis.js";
import { svg } from "./figure.js";
import { mark, type SeriesStyle, seriesGroup } from "./series.js";

export interface RowMark {
  at: number;
  /** an interval around it */
  low?: number;
  high?: number;
  style: SeriesStyle;
  title: string;
}

export interface Row {
  name: string;
  /** the figure that matters, as text */
  value: string;
  marks: readonly RowMark[];
  /** filled from 0 to here, where the axis holds 0 */
  bar?: { to: number; style: SeriesStyle };
}

export interface RowsChart {
  x: AxisSpec;
  rows: readonly Row[];
  /** a value to compare with, drawn through all rows */
  reference?: number;
  alternative: string;
}

const ROW_HEIGHT = 36;
const NAME_LINE = 13;
const MARK_LINE = 24;
const BAR_HEIGHT = 9;
const EDGE = 14;
/** of a row’s name, before what fits is looked for */
const MAX_NAME = 80;

export function rowsChart({ x, rows, reference, alternative }: RowsChart): Html {
  const values = rows.flatMap(({ marks }) => marks.flatMap(({ at, low, high }) => [at, low ?? at, high ?? at]));
  const include = [...(x.include ?? []), ...(reference === undefined ? [] : [reference])];
  const box: Box = { left: EDGE, right: WIDTH - EDGE, top: 4, bottom: 4 + rows.length * ROW_HEIGHT };
  const axis = makeAxis(values, { ...x, include }, [box.left, box.right], true);
  return svg(
    box.bottom + 36,
    alternative,
    xAxis(axis, box),
    rows.map((row, i) => {
      const top = box.top + i * ROW_HEIGHT;
      const { bar } = row;
      return html`<g>${bar !== undefined && drawBar(bar, axis, top + MARK_LINE)}${reference !== undefined && referenceLine(axis.at(reference), top)}${drawRow(row, axis, top)}</g>`;
    }),
  );
}

/** Beside the marks only, so that it does not cross the name. */
const referenceLine = (x: number, top: number): Html =>
  html`<line class="reference" x1="${place(x)}" x2="${place(x)}" y1="${place(top + NAME_LINE + 4)}" y2="${place(top + ROW_HEIGHT)}"/>`;

/** As much of a name as fits beside a value. */
export function fitting(name: string, value: string): string {
  const room = WIDTH - textWidth(value) - TEXT_HEIGHT;
  let shown = shorten(name, MAX_NAME);
  for (let most = [...shown].length - 1; textWidth(shown) > room && most > 1; most--) shown = shorten(name, most);
  return shown;
}

export const rowLabels = (name: string, value: string, y: number): Html =>
  html`<text class="row" x="0" y="${place(y)}">${fitting(name, value)}<title>${name}</title></text><text class="value" x="${WIDTH}" y="${place(y)}" text-anchor="end">${value}</text>`;

function drawRow({ name, value, marks }: Row, axis: Axis, top: number): Html {
  const y = top + MARK_LINE;
  return html`${rowLabels(name, value, top + NAME_LINE)}${marks.map((one) => drawMark(one, axis, y))}`;
}

function drawBar({ to, style }: NonNullable<Row["bar"]>, axis: Axis, y: number): Html {
  const [from, end] = [axis.at(0), axis.at(to)].sort((a, b) => a - b);
  return seriesGroup(
    style,
    html`<rect class="fill" x="${place(from)}" y="${place(y - BAR_HEIGHT / 2)}" width="${place(end - from)}" height="${BAR_HEIGHT}"/>`,
  );
}

function drawMark({ at, low, high, style, title }: RowMark, axis: Axis, y: number): Html {
  const whisker =
    low === undefined || high === undefined
      ? []
      : [
          html`<path class="whisker" d="M${place(axis.at(low))},${place(y - 4)}v8m0,-4H${place(axis.at(high))}m0,-4v8"/>`,
        ];
  return seriesGroup(style, ...whisker, mark(style, axis.at(at), y, title, 50));
}
