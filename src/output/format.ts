/** Numbers as people read them. */
import { type Extrapolated, type Interval, limitsOf, NO_INTERVAL } from "../schema/common.js";

export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function formatCount(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(2)} billion`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)} million`;
  return String(count);
}

/** `1.11 to 1.25`, or why there is none */
export function limitsText(interval: Pick<Interval, "low" | "high">): string {
  const limits = limitsOf(interval);
  return limits === null ? NO_INTERVAL : `${limits.low.toFixed(2)} to ${limits.high.toFixed(2)}`;
}

/** Of a table's cell: the median, and its limits below it where there are any. */
export function spread(interval: Interval, digits: number): string {
  const limits = limitsOf(interval);
  const around = limits === null ? "" : `\n${limits.low.toFixed(digits)}–${limits.high.toFixed(digits)}`;
  return `${interval.median.toFixed(digits)}${around}`;
}

export const formatPercent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** `extrapolated: nothing was profiled beyond 4096 tokens of context`; nothing where all was profiled. */
export const extrapolatedLine = ({ extrapolated }: { extrapolated?: Extrapolated | undefined }): string[] =>
  extrapolated === undefined
    ? []
    : [`extrapolated: nothing was profiled beyond ${extrapolated.beyond_context_tokens} tokens of context`];
