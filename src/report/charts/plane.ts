/** Points with names on a plane, a curve and unnamed points beside them, and lines along which a third quantity is equal. */
import { line } from "d3-shape";
import { type Html, html, shorten } from "../html.js";
import {
  type Axis,
  type AxisSpec,
  type Box,
  makeAxis,
  place,
  TEXT_HEIGHT,
  textWidth,
  tickRoom,
  WIDTH,
  xAxis,
  yAxis,
} from "./axis.js";
import { svg } from "./figure.js";
import { mark, type SeriesStyle, seriesGroup } from "./series.js";

export interface PlanePoint {
  x: number;
  y: number;
}

export interface LabelledPoint extends PlanePoint {
  /** one place may have several names */
  names: readonly string[];
  style: SeriesStyle;
  /** shown where a pointer rests on it */
  title: string;
}

/** A line of equal value. */
export interface Level {
  name: string;
  points: readonly PlanePoint[];
}

export interface PlaneChart {
  x: AxisSpec;
  y: AxisSpec;
  /** names never cover each other; where there is no room for one, the point's title and the table have it */
  points: readonly LabelledPoint[];
  curve: { style: SeriesStyle; points: readonly PlanePoint[] };
  cloud: { style: SeriesStyle; points: readonly PlanePoint[] };
  /** drawn behind everything else; they do not widen the axes */
  levels: readonly Level[];
  alternative: string;
}

const PLOT_HEIGHT = 240;
const TOP = 26;
const BELOW = 36;
const MARK_ROOM = 6;
const MAX_NAME = 28;

export function planeChart({ x, y, points, curve, cloud, levels, alternative }: PlaneChart): Html {
  const drawn = [...points, ...curve.points, ...cloud.points];
  const bottom = TOP + PLOT_HEIGHT;
  const up = makeAxis(
    drawn.map((point) => point.y),
    { ...y, tight: true },
    [bottom, TOP + MARK_ROOM],
    false,
  );
  const box: Box = { left: tickRoom(up.ticks), right: WIDTH - 8, top: TOP, bottom };
  const along = makeAxis(
    drawn.map((point) => point.x),
    { ...x, tight: true },
    [box.left, box.right],
    true,
  );
  const taken: Area[] = points.map((point) => around(along.at(point.x), up.at(point.y)));
  const names = points.map((point) => nameOf(point, along, up, box, taken));
  return svg(
    bottom + BELOW,
    alternative,
    xAxis(along, box),
    yAxis(up, box),
    levels.map((level) => drawLevel(level, along, up, box, taken)),
    curve.points.length > 1 &&
      seriesGroup(curve.style, html`<path class="line" d="${pathOf(curve.points, along, up)}"/>`),
    seriesGroup(
      { ...cloud.style, small: true },
      ...cloud.points.map((point) => markAt(cloud.style, point, along, up, null, 16)),
    ),
    points.map((point) => seriesGroup(point.style, markAt(point.style, point, along, up, point.title, 50))),
    names,
  );
}

const markAt = (
  style: SeriesStyle,
  { x, y }: PlanePoint,
  along: Axis,
  up: Axis,
  title: string | null,
  area: number,
): Html => mark(style, along.at(x), up.at(y), title, area);

const pathOf = (points: readonly PlanePoint[], along: Axis, up: Axis): string =>
  line<PlanePoint>(
    (point) => along.at(point.x),
    (point) => up.at(point.y),
  ).digits(1)([...points]) ?? "";

/** A part of the drawing that something stands on. */
interface Area {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const around = (x: number, y: number): Area => ({
  left: x - MARK_ROOM,
  right: x + MARK_ROOM,
  top: y - MARK_ROOM,
  bottom: y + MARK_ROOM,
});

const meets = (a: Area, b: Area): boolean =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

const isInside = (area: Area, box: Box): boolean =>
  area.left >= box.left && area.right <= box.right && area.top >= box.top && area.bottom <= box.bottom;

/** Where a name may stand, nearest first: how far from its mark, and where along its width the mark's middle comes to lie. */
const OFFSETS: readonly { dx: number; dy: number; share: number }[] = [0, 1, 2, 3, 4, 5, 6].flatMap((ring) => {
  const far = 10 + 13 * ring;
  const aside = ring === 0 ? 8 : far;
  return [
    { dx: aside, dy: ring === 0 ? 4 : far / 2, share: 0 },
    { dx: -aside, dy: ring === 0 ? 4 : far / 2, share: 1 },
    { dx: 0, dy: far + 6, share: 0.5 },
    { dx: 0, dy: -far + 1, share: 0.5 },
    { dx: aside, dy: -far / 2, share: 0 },
    { dx: -aside, dy: -far / 2, share: 1 },
  ];
});

/** A point's name beside it, with a thin line where it stands further off; nothing where there is no room at all. */
function nameOf(point: LabelledPoint, along: Axis, up: Axis, box: Box, taken: Area[]): Html | null {
  const [x, y] = [along.at(point.x), up.at(point.y)];
  const name = shorten(point.names.join(", "), MAX_NAME);
  const width = textWidth(name);
  for (const [i, { dx, dy, share }] of OFFSETS.entries()) {
    const left = x + dx - share * width;
    const base = y + dy;
    const area = { left, right: left + width, top: base - TEXT_HEIGHT + 1, bottom: base + 3 };
    if (!isInside(area, box) || taken.some((other) => meets(area, other))) continue;
    taken.push(area);
    const middle = Math.min(Math.max(x, area.left), area.right);
    const edge = dy > 0 ? area.top : area.bottom;
    const leader =
      i >= 6 &&
      html`<line class="leader" x1="${place(x)}" y1="${place(y)}" x2="${place(middle)}" y2="${place(edge)}"/>`;
    return html`${leader}<text class="row" x="${place(left)}" y="${place(base)}">${name}</text>`;
  }
  return null;
}

/** Where a line's name is tried: its end, its beginning, and places between, as shares of its points. */
const ALONG = [1, 0, 0.85, 0.15, 0.5];

/** A line from edge to edge, and its name on it where nothing else stands. */
function drawLevel({ name, points }: Level, along: Axis, up: Axis, box: Box, taken: Area[]): Html | null {
  if (points.length < 2) return null;
  const path = html`<path d="${pathOf(points, along, up)}"/>`;
  for (const share of ALONG) {
    const text = levelName(name, points[Math.round(share * (points.length - 1))], along, up, box, taken);
    if (text !== null) return html`<g class="level">${path}${text}</g>`;
  }
  return html`<g class="level">${path}</g>`;
}

function levelName(name: string, at: PlanePoint, along: Axis, up: Axis, box: Box, taken: Area[]): Html | null {
  const width = textWidth(name);
  const x = Math.min(Math.max(along.at(at.x), box.left + width / 2), box.right - width / 2);
  const base = Math.min(up.at(at.y) + TEXT_HEIGHT + 1, box.bottom - 3);
  const area = { left: x - width / 2 - 2, right: x + width / 2 + 2, top: base - TEXT_HEIGHT, bottom: base + 3 };
  if (!isInside(area, { ...box, left: box.left - 2, right: box.right + 2 })) return null;
  if (taken.some((other) => meets(area, other))) return null;
  taken.push(area);
  return html`<text x="${place(x)}" y="${place(base)}" text-anchor="middle">${name}</text>`;
}
