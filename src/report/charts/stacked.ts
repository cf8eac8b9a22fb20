/** Rows of parts that add up: what something is made of, and how much of it there is. */
import { sum } from "../../stats/numbers.js";
import { significant } from "../format.js";
import { type Html, html } from "../html.js";
import { type Axis, type Box, makeAxis, place, textWidth, WIDTH, xAxis } from "./axis.js";
import { svg } from "./figure.js";
import { rowLabels } from "./rows.js";
import { seriesGroup } from "./series.js";

export interface StackedRow {
  name: string;
  /** the whole, as text */
  value: string;
  /** [parts] in the order of the chart's parts, in the axis' unit */
  amounts: readonly number[];
}

export interface StackedChart {
  /** with its unit */
  label: string;
  parts: readonly string[];
  rows: readonly StackedRow[];
  alternative: string;
}

const ROW_HEIGHT = 44;
const BAR_HEIGHT = 18;
const EDGE = 10;

export function stackedChart({ label, parts, rows, alternative }: StackedChart): Html {
  const box: Box = { left: 0, right: WIDTH - EDGE, top: 4, bottom: 4 + rows.length * ROW_HEIGHT };
  const wholes = rows.map(({ amounts }) => sum(amounts));
  const axis = makeAxis(wholes, { label, scale: "linear", include: [0] }, [box.left, box.right], true);
  return svg(
    box.bottom + 36,
    alternative,
    xAxis(axis, box),
    rows.map((row, i) => drawRow(row, parts, axis, box.top + i * ROW_HEIGHT)),
  );
}

function drawRow({ name, value, amounts }: StackedRow, parts: readonly string[], axis: Axis, top: number): Html {
  const whole = sum(amounts);
  const bars = amounts.map((amount, i) => {
    const from = axis.at(sum(amounts.slice(0, i)));
    const width = axis.at(sum(amounts.slice(0, i + 1))) - from;
    const share = whole > 0 ? `${significant((100 * amount) / whole, 2)} %` : "";
    if (amount <= 0) return null;
    const labels = amount === whole ? [parts[i]] : [`${parts[i]} ${share}`, share];
    const label = labels.find((text) => textWidth(text) + 6 <= width);
    return drawPart(i, { from, width, top: top + 19 }, `${name}: ${parts[i]}, ${share}`, label);
  });
  return html`<g>${rowLabels(name, value, top + 13)}${bars}</g>`;
}

interface Bar {
  from: number;
  width: number;
  top: number;
}

const drawPart = (look: number, { from, width, top }: Bar, title: string, label: string | undefined): Html =>
  seriesGroup(
    { look },
    html`<rect class="fill" x="${place(from)}" y="${place(top)}" width="${place(Math.max(0, width))}" height="${BAR_HEIGHT}"><title>${title}</title></rect>`,
    ...(label === undefined
      ? []
      : [
          html`<text class="inside" x="${place(from + width / 2)}" y="${place(top + 13)}" text-anchor="middle">${label}</text>`,
        ]),
  );
