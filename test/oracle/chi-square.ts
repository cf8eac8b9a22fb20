/** Pearson's test of counts against chances. Imports nothing from src. */

/**
 * How far counts are from what was expected: the chi-square statistic's cube root as Wilson and Hilferty (1931) make it
 * normal, so that above 4 has a chance of 3.2e-5 where the chances are true.
 * @param counts  [cells] drawn
 * @param chances [cells] their sum is 1; a cell of chance 0 must be empty. Every other needs an expectation of 5 at least
 */
export function chiSquareDeviation(counts: readonly number[], chances: readonly number[]): number {
  const draws = counts.reduce((sum, count) => sum + count, 0);
  let [statistic, freedom] = [0, -1];
  chances.forEach((chance, i) => {
    const expected = chance * draws;
    if (chance === 0) {
      if (counts[i] !== 0) statistic = Number.POSITIVE_INFINITY;
      return;
    }
    if (expected < 5) throw new Error(`cell ${i} expects ${expected}: draw more`);
    statistic += (counts[i] - expected) ** 2 / expected;
    freedom++;
  });
  if (freedom === 0) return statistic === 0 ? 0 : Number.POSITIVE_INFINITY;
  const spread = 2 / (9 * freedom);
  return (Math.cbrt(statistic / freedom) - (1 - spread)) / Math.sqrt(spread);
}
