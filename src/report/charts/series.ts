/** What sets one series apart from another: colour, and for those who do not see it, shape and line. */
import { symbol, symbolCircle, symbolCross, symbolDiamond, symbolSquare, symbolTriangle, symbolWye } from "d3-shape";
import { type Html, html, type Part } from "../html.js";
import { place } from "./axis.js";

const SHAPES = [symbolCircle, symbolSquare, symbolTriangle, symbolDiamond, symbolWye, symbolCross];
/** distinct looks; a chart draws no more series than that */
export const SERIES_STYLES = SHAPES.length;

export interface SeriesStyle {
  /** 0 to SERIES_STYLES - 1: colour and shape */
  look: number;
  dashed?: boolean;
  /** marks as outlines: a prediction, not a measurement */
  hollow?: boolean;
  /** marks so many that a rim around each would hide them */
  small?: boolean;
}

/** Of dots in a legend: they have their series' colours, and this stands for all. */
export const DOTS: SeriesStyle = { look: 5 };

const classes = ({ look, dashed, hollow, small }: SeriesStyle): string =>
  `s${look % SERIES_STYLES}${dashed ? " dashed" : ""}${hollow ? " hollow" : ""}${small ? " small" : ""}`;

export const seriesGroup = (style: SeriesStyle, ...content: readonly Part[]): Html =>
  html`<g class="${classes(style)}">${content}</g>`;

/** @param title shown where a pointer rests on the mark */
export function mark({ look }: SeriesStyle, x: number, y: number, title: string | null, area = 36): Html {
  const path = symbol(SHAPES[look % SHAPES.length], area).digits(1)() ?? "";
  return html`<path class="mark" transform="translate(${place(x)} ${place(y)})" d="${path}">${title !== null && html`<title>${title}</title>`}</path>`;
}

export interface LegendEntry {
  name: string;
  style: SeriesStyle;
  /** as it is drawn: a line through marks, a line or marks alone, dots, or a filled area */
  drawn: "line" | "curve" | "marks" | "dots" | "area" | "solid";
}

/** Beside its chart, as text of the page: it wraps where there is little room. */
export const legend = (entries: readonly LegendEntry[]): Html =>
  html`<ul class="legend">${entries.map(
    ({ name, style, drawn }) =>
      html`<li><svg aria-hidden="true" width="26" height="12" viewBox="0 0 26 12">${seriesGroup(style, swatch(style, drawn))}</svg> <bdi>${name}</bdi></li>`,
  )}</ul>`;

function swatch(style: SeriesStyle, drawn: LegendEntry["drawn"]): Html {
  switch (drawn) {
    case "line":
      return html`<path class="line" d="M0,6H26"/>${mark(style, 13, 6, null)}`;
    case "curve":
      return html`<path class="line" d="M0,6H26"/>`;
    case "marks":
      return mark(style, 13, 6, null, 50);
    case "dots":
      return html`${[5, 13, 21].map((x) => html`<circle class="dot" cx="${x}" cy="6" r="2.5"/>`)}`;
    case "area":
      return html`<rect class="fill" x="6.5" y="1.5" width="13" height="9"/>`;
    case "solid":
      return html`<rect class="solid" x="6.5" y="1.5" width="13" height="9"/>`;
  }
}
