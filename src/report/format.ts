/** Numbers as a reader of the page sees them. */

const MINUS = "−";
/** Beyond it plain digits are no help. */
const MAX_PLAIN = 1e9;
const MIN_PLAIN = 1e-4;

/** `12,345` */
const group = (digits: string): string => digits.replace(/^\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));

/** What arithmetic on absurd numbers gives: a document may hold 1e308 twice. */
const unwritable = (value: number): string => (Number.isNaN(value) ? "unknown" : `${value < 0 ? MINUS : ""}∞`);

/** Three significant digits, or as many as asked for; whole numbers keep all of theirs. */
export function significant(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return unwritable(value);
  const size = Math.abs(value);
  const sign = value < 0 ? MINUS : "";
  if (size === 0) return "0";
  if (size >= MAX_PLAIN || size < MIN_PLAIN) return `${sign}${size.toExponential(digits - 1).replace("-", MINUS)}`;
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return `${sign}${group(size.toFixed(Math.min(decimals, 12)))}`;
}

export const fixed = (value: number, decimals: number): string =>
  !(Math.abs(value) < MAX_PLAIN)
    ? significant(value)
    : `${value < 0 ? MINUS : ""}${group(Math.abs(value).toFixed(decimals))}`;

export const whole = (value: number): string => fixed(value, 0);

/** `1.39×` */
export const factor = (value: number): string => `${fixed(value, 2)}×`;

/** `97.4 %` of a share of 0 to 1; never 100 for less than all */
export function percent(share: number): string {
  const value = 100 * share;
  for (const decimals of [1, 2, 3]) {
    if (share >= 1 || Number(value.toFixed(decimals)) < 100) return `${fixed(value, decimals)} %`;
  }
  return "> 99.999 %";
}

/** `5.5 % too high`: how a prediction missed, from its error in percent of what was measured */
export function missedBy(errorPercent: number): string {
  const size = fixed(Math.abs(errorPercent), 1);
  return size === "0.0" ? "as measured" : `${size} % too ${errorPercent > 0 ? "high" : "low"}`;
}

/** `312 µs`, `21.5 ms`, `3.20 s` */
export function duration(us: number): string {
  if (us < 1000) return `${significant(us)} µs`;
  return us < 1e6 ? `${significant(us / 1e3)} ms` : `${significant(us / 1e6)} s`;
}

/** A unit in which numbers up to `maxUs` read well, for an axis or a column. */
export function timeUnit(maxUs: number): { name: string; us: number } {
  if (maxUs < 1000) return { name: "µs", us: 1 };
  return maxUs < 1e6 ? { name: "ms", us: 1e3 } : { name: "s", us: 1e6 };
}

/** `0–1024` tokens */
export const range = ({ from, to }: { from: number; to: number }): string => `${whole(from)}–${whole(to)}`;

/** `2 prompts`, `1 prompt` */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${whole(count)} ${count === 1 ? one : many}`;

/** `2026-01-31 17:05 UTC` of an ISO 8601 time */
export const moment = (iso: string): string =>
  iso.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*$/, (_all, day: string, time: string) => `${day} ${time} UTC`);

/** The first digits of a digest: enough to tell two apart at a glance. */
export const shortDigest = (sha256: string): string => sha256.slice(0, 12);

/** `a, b and c` */
export const listed = (items: readonly string[]): string =>
  items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items[items.length - 1]}`;
