/**
 * Metadata floats are fp32: 1e-5 arrives as 0.00000999999974. The shortest decimal that gives the same fp32 is what
 * config.json says, so that one model has one architecture digest in both formats.
 */
export function shortestFloat(given: number): number {
  const value = Math.fround(given);
  for (let digits = 1; digits <= 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return value;
}
