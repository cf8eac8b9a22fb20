/** Small things that every room needs once. */

export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

export const clamp = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));

/** Rounded to so many significant digits, as a number: what a document or a reader is given. */
export const significant = (value: number, digits: number): number => Number(value.toPrecision(digits));

/** Rounded to so many decimals, as a number. */
export const decimals = (value: number, digits: number): number => {
  const scale = 10 ** digits;
  return Math.round(value * scale) / scale;
};
