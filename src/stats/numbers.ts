/** Small things that every room needs once. */

export function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}

export const clamp = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));

/** Rounded to so many significant digits, as a number: what a document or a reader is given. */
export const significant = (value: number, digits: number): number => Number(value.toPrecision(digits));

/** Rounded to a hundredth: of a µs, that is far below anything measured. */
export const hundredths = (value: number): number => Math.round(value * 100) / 100;
