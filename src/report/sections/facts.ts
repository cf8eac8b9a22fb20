/** What several sections say in the same way. */
import {
  blockName,
  type Choice,
  type ChoiceSet,
  isShort,
  isSpanned,
  KERNEL_NAMES,
  kernelOf,
  orderedChoices,
} from "../../schema/choice.js";
import {
  type Device,
  type Extrapolated,
  type Interval,
  limitsOf,
  type ModelRef,
  NO_INTERVAL,
} from "../../schema/common.js";
import type { Row, RowMark } from "../charts/rows.js";
import type { SeriesStyle } from "../charts/series.js";
import { counted, factor, range, shortDigest, significant, whole } from "../format.js";
import { foreign, type Html, html, type Part } from "../html.js";

/** Terms and what is to be said of them. */
export const facts = (...entries: readonly (readonly [term: string, value: Part] | null)[]): Html =>
  html`<dl class="facts">${entries.map(
    (entry) =>
      entry !== null &&
      html`<div><dt>${entry[0]}</dt><dd>${typeof entry[1] === "string" ? foreign(entry[1]) : entry[1]}</dd></div>`,
  )}</dl>
`;

export const modelText = ({ name, layers }: ModelRef): Html => html`${foreign(name)}, ${counted(layers, "layer")}`;

export const deviceText = (device: Device): string =>
  `${device.processor}, ${device.provider}, ${counted(device.threads, "thread")}, ${device.runtime}, ${device.platform}`;

/** @param write a limit; default: as a speedup */
export function intervalText(interval: Interval, write: (value: number) => string = factor): string {
  const limits = limitsOf(interval);
  return limits === null ? NO_INTERVAL : `${write(limits.low)} to ${write(limits.high)}`;
}

export const digestText = (sha256: string): Html => html`<code>${shortDigest(sha256)}</code>`;

/** Good, bad or neither, said by a sign and in words. */
export function verdict(kind: "good" | "bad" | "open", words: string): Html {
  const signs = { good: "✓", bad: "✗", open: "?" } as const;
  return html`<span class="verdict ${kind}"><span aria-hidden="true">${signs[kind]}</span> ${words}</span>`;
}

/** A dash to see, a word to hear. */
export const NONE = html`<span aria-hidden="true">–</span><span class="unseen">none</span>`;

/** What documents leave open is said, not left blank. */
export const orNone = (value: number | null | undefined, write: (value: number) => string): Part =>
  value === null || value === undefined ? NONE : write(value);

export const note = (content: Part): Html => html`<p class="note">${content}</p>\n`;

/** Said wherever predictions rest on costs that were never measured; null where they all were. */
export const extrapolatedNote = (extrapolated: Extrapolated | undefined): Html | null =>
  extrapolated === undefined
    ? null
    : html`<p class="note"><strong>Extrapolated.</strong> Nothing was profiled beyond ${whole(extrapolated.beyond_context_tokens)} tokens of context. From there to ${whole(extrapolated.to_context_tokens)} the profile’s curves are drawn on as straight lines; what is marked with * rests on that.</p>
`;

/** A range of contexts, marked where it lies beyond the profile. */
export const contextText = ({
  context_tokens,
  extrapolated,
}: {
  context_tokens: { from: number; to: number };
  extrapolated?: true | undefined;
}): string => `${range(context_tokens)}${extrapolated === true ? " *" : ""}`;

/** How each choice looks, the same in every chart. */
export const choiceStyle = (choice: Choice): SeriesStyle => ({
  look: choice === "skip" ? 5 : KERNEL_NAMES.indexOf(kernelOf(choice) ?? "target"),
  ...(isSpanned(choice) || isShort(choice) ? { dashed: true } : {}),
});

export const MEASURED: SeriesStyle = { look: 0 };
export const PREDICTED: SeriesStyle = { look: 1, hollow: true, dashed: true };
export const PLAIN: SeriesStyle = { look: 5 };
export const CHEAPER: SeriesStyle = { look: 3 };

/** What was measured, with its interval. */
export const measuredMark = ({ median, low, high }: Interval, write: (value: number) => string): RowMark => ({
  at: median,
  ...limitsOf({ low, high }),
  style: MEASURED,
  title: `measured ${write(median)}`,
});

/** A row of a chart over tokens per second. */
export const speedRow = (name: string, speed: Interval, marks: readonly RowMark[] = []): Row => ({
  name,
  value: `${significant(speed.median)}/s`,
  marks: [measuredMark(speed, significant), ...marks],
  bar: { to: speed.median, style: MEASURED },
});

/** Table rows: choice, how many blocks, which. */
export function choiceRows({ blocks, head }: ChoiceSet): Part[][] {
  const rows = orderedChoices(blocks).map((choice) => {
    const named = blocks.flatMap((other, index) => (other === choice ? [blockName(index)] : []));
    return [choice, String(named.length), named.length === blocks.length ? "every block" : named.join(", ")];
  });
  return [...rows, ["head", "", head]];
}

/** At most so many of a list, evenly spaced, the first and the last among them. */
export function spread<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items];
  return Array.from({ length: most }, (_, i) => items[Math.round((i * (items.length - 1)) / (most - 1))]);
}
