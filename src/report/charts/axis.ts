/**
 * Axes: numbers to places on the drawing, with ticks whose labels do not touch each other. All charts are drawn in the
 * same units, as wide as a phone; the page scales them, and text with them.
 */

import { scaleLinear, scaleLog } from "d3-scale";
import { clamp } from "../../stats/numbers.js";
import { significant, whole } from "../format.js";
import { type Html, html } from "../html.js";

/** width of every chart in its own units; text is 11 of them high */
export const WIDTH = 340;
export const TEXT_HEIGHT = 11;

/** Widths of characters in units of the text's height, rather too wide than too narrow: fonts differ. */
function characterWidth(character: string): number {
  const code = character.codePointAt(0) ?? 0;
  if (code >= 0x1f000) return 1.4; // emoji
  if (code > 0x2e7f || /[MW@%…]/.test(character)) return 1.05; // CJK fills its square
  return /[\p{Lu}mw⟨⟩]/u.test(character) ? 0.8 : 0.6;
}

export const textWidth = (text: string): number =>
  [...text].reduce((sum, character) => sum + characterWidth(character), 0) * TEXT_HEIGHT;

export interface AxisSpec {
  /** with its unit: `context, tokens` */
  label: string;
  scale: "linear" | "log";
  /** values that must be on the axis besides those drawn */
  include?: readonly number[];
  /** ticks at whole numbers only */
  integers?: boolean;
  /** end at the values, and not at the next round number */
  tight?: boolean;
}

export interface Tick {
  at: number;
  text: string;
}

export interface Axis {
  label: string;
  /** place of a value; one that the axis cannot hold lies at its end */
  at(value: number): number;
  ticks: readonly Tick[];
}

/**
 * Documents may hold any number, but no drawing can: beyond LIMIT is its end, nearer to zero than 1 / LIMIT is zero, and so
 * is what such numbers make of each other (0 / 0).
 */
const LIMIT = 1e15;
const drawable = (value: number): number => (Math.abs(value) >= 1 / LIMIT ? clamp(value, -LIMIT, LIMIT) : 0);

/** Numbers that differ by less are one number: ticks between them would not be told apart. */
const SAME = 1e-9;
const MAX_TICKS = 6;
const TICK_GAP = 8;

/** One decimal is finer than a screen shows. */
export const place = (value: number): string => String(Math.round(value * 10) / 10);

type Range = readonly [from: number, to: number];

/**
 * @param values what is drawn
 * @param along  first and last place of the drawing; falling for an axis that points up
 * @param across whether labels stand side by side, and so may touch
 */
export function makeAxis(values: readonly number[], spec: AxisSpec, along: Range, across: boolean): Axis {
  const all = [...values, ...(spec.include ?? [])].map(drawable);
  const make = spec.scale === "log" ? logAxis : linearAxis;
  for (let count = MAX_TICKS; ; count--) {
    const { at, ticks } = make(all, spec, along, count);
    if (count <= 2 || !across || areApart(ticks)) return { label: spec.label, at, ticks };
  }
}

const areApart = (ticks: readonly Tick[]): boolean =>
  ticks.every(
    ({ at, text }, i) =>
      i === 0 || at - ticks[i - 1].at >= (textWidth(text) + textWidth(ticks[i - 1].text)) / 2 + TICK_GAP,
  );

type Marks = Pick<Axis, "at" | "ticks">;

function linearAxis(values: readonly number[], spec: AxisSpec, along: Range, count: number): Marks {
  let [low, high] = values.length === 0 ? [0, 1] : [Math.min(...values), Math.max(...values)];
  const size = Math.max(Math.abs(low), Math.abs(high));
  if (high - low <= SAME * size) [low, high] = size === 0 ? [0, 1] : [low - size / 10, high + size / 10];
  const scale = scaleLinear([low, high], along);
  if (spec.tight !== true) scale.nice(MAX_TICKS); // not by the count of labels: two axes of the same values end alike
  const [from, to] = scale.domain();
  const ticks = scale.ticks(count).filter((tick) => !spec.integers || Number.isInteger(tick));
  const plain = high < 1e9 && low > -1e9;
  const text =
    spec.integers && plain ? whole : plain ? scale.tickFormat(count) : (value: number) => significant(value, 2);
  return {
    at: (value) => scale(clamp(drawable(value), from, to)),
    ticks: ticks.map((tick) => ({ at: scale(tick), text: text(tick) })),
  };
}

/** Ends at 1, 2 or 5 times a power of ten; ticks there too where there is room for them, else at powers alone. */
function logAxis(values: readonly number[], _spec: AxisSpec, along: Range, count: number): Marks {
  const positive = values.filter((value) => value > 1 / LIMIT);
  const [low, high] = positive.length === 0 ? [0.1, 1] : [Math.min(...positive), Math.max(...positive)];
  const first = Math.floor(Math.log10(low));
  const steps = Array.from({ length: Math.ceil(Math.log10(high)) - first + 1 }, (_, i) => first + i).flatMap(
    (exponent) => [1, 2, 5].map((digit): LogStep => ({ digit, exponent, value: digit * 10 ** exponent })),
  );
  const from = steps.findLast(({ value }) => value <= low) ?? steps[0];
  const to = steps.find(({ value }) => value >= high && value > from.value) ?? { value: 10 * high };
  const within = steps.filter(({ value }) => value >= from.value && value <= to.value);
  const scale = scaleLog([from.value, to.value], along);
  return {
    at: (value) => scale(clamp(drawable(value), from.value, to.value)),
    ticks: thinned(within, count + 2).map((step) => ({ at: scale(step.value), text: logText(step) })),
  };
}

interface LogStep {
  digit: number;
  exponent: number;
  value: number;
}

function thinned(steps: readonly LogStep[], most: number): readonly LogStep[] {
  if (steps.length <= most) return steps;
  const powers = steps.filter(({ digit }) => digit === 1);
  const every = Math.ceil(powers.length / most);
  return powers.filter((_, i) => i % every === 0);
}

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** `0.002`, `500`, `2·10⁻⁹`; written from digit and exponent, since 10 ** -5 is not 0.00001 in floating point. */
function logText({ digit, exponent }: LogStep): string {
  if (exponent >= -5 && exponent < 0) return `0.${"0".repeat(-exponent - 1)}${digit}`;
  if (exponent >= 0 && exponent <= 5) return `${digit}${"0".repeat(exponent)}`;
  const raised = [...String(Math.abs(exponent))].map((one) => SUPERSCRIPTS[Number(one)]).join("");
  return `${digit === 1 ? "" : `${digit}·`}10${exponent < 0 ? "⁻" : ""}${raised}`;
}

/** The part of a chart that data is drawn in. */
export interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** Upright lines with their numbers below, and the axis' name under them. */
export const xAxis = ({ ticks, label }: Axis, box: Box): Html =>
  html`<g class="axis">${ticks.map(({ at, text }) => {
    const half = textWidth(text) / 2; // a number at the drawing's edge moves inwards
    const x = clamp(at, half, WIDTH - half);
    return html`<line x1="${place(at)}" x2="${place(at)}" y1="${place(box.top)}" y2="${place(box.bottom)}"/><text x="${place(x)}" y="${place(box.bottom + 14)}" text-anchor="middle">${text}</text>`;
  })}<text class="name" x="${place(box.right)}" y="${place(box.bottom + 30)}" text-anchor="end">${label}</text></g>`;

/** Level lines with their numbers at the left, and the axis' name above them. */
export const yAxis = ({ ticks, label }: Axis, box: Box): Html =>
  html`<g class="axis">${ticks.map(
    ({ at, text }) =>
      html`<line x1="${place(box.left)}" x2="${place(box.right)}" y1="${place(at)}" y2="${place(at)}"/><text x="${place(box.left - 6)}" y="${place(at + 4)}" text-anchor="end">${text}</text>`,
  )}<text class="name" x="0" y="11">${label}</text></g>`;

/** Room for the numbers of an upright axis. */
export const tickRoom = (ticks: readonly Tick[]): number =>
  Math.max(16, ...ticks.map(({ text }) => textWidth(text))) + 8;
