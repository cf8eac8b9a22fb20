/** A curve in one line of text. */

const BARS = "▁▂▃▄▅▆▇█";

/** @param most the value of a full bar; bars begin at 0, so that two lines of the same `most` compare */
export function sparkline(values: readonly number[], most: number): string {
  const top = BARS.length - 1;
  const bar = (value: number) => (most > 0 ? Math.round((top * Math.max(0, value)) / most) : 0);
  return values.map((value) => BARS[Math.min(top, bar(value))]).join("");
}

/**
 * Values at evenly spaced places of a line through points.
 * @param points [x, y] by rising x, at least one
 */
export function resampledAt(points: readonly (readonly [number, number])[], count: number): number[] {
  const [first, last] = [points[0][0], points[points.length - 1][0]];
  return Array.from({ length: count }, (_, i) => {
    const x = first + ((last - first) * i) / Math.max(1, count - 1);
    const after = points.findIndex(([px]) => px >= x);
    if (after <= 0) return points[Math.max(0, after)][1];
    const [[x0, y0], [x1, y1]] = [points[after - 1], points[after]];
    return y0 + ((y1 - y0) * (x - x0)) / (x1 - x0);
  });
}
