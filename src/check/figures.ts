/** Comparing figures that a document has written down. */
import { significant } from "../stats/numbers.js";

/**
 * Documents hold six significant digits; what is computed from a few of them is off by some 1e-5. Differences below this
 * are no one's concern.
 */
export const ROUNDING = 1e-4;

/** Equal but for rounding. @param scale what rounding is relative to where the figure itself may be near 0 */
export const agrees = (a: number, b: number, scale = 0): boolean =>
  Number.isFinite(a) && Number.isFinite(b) && Math.abs(a - b) <= ROUNDING * Math.max(Math.abs(a), Math.abs(b), scale);

/** `low ≤ value ≤ high` but for rounding. */
export const liesWithin = (value: number, low: number, high: number): boolean =>
  (value >= low || agrees(value, low)) && (value <= high || agrees(value, high));

/** Six significant digits, as documents have them. */
export const show = (x: number): string => String(significant(x, 6));

/** `-3.1 %`, `+12.0 %` */
export const showChange = (share: number): string => `${share > 0 ? "+" : ""}${(100 * share).toFixed(1)} %`;

/** (after / before - 1) · 100; null where either is missing, or where it is no number. */
export function changePercent(before: number | null, after: number | null): number | null {
  if (before === null || after === null) return null;
  const percent = 100 * (after / before - 1);
  return Number.isFinite(percent) ? percent : null;
}
