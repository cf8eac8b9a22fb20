/** Naive twin of the draft length by batch: every length at every batch, by the objective written out. */

/** Times of a whole batch, µs, at measured batches alone. */
export interface BatchProblem {
  /** measured batches, rising */
  batches: number[];
  /** one draft step of every sequence */
  draftUs: (batch: number) => number;
  /** one pass of the target over d + 1 tokens of every sequence */
  verifyUs: (batch: number, d: number) => number;
  roundUs: number;
  stepUs: number;
  /** [d + 1] */
  curve: number[];
}

/** Tokens per second of all sequences together; d = 0: plain decoding. */
export function batchSpeed(problem: BatchProblem, batch: number, d: number): number {
  const us = (measured: number) =>
    d === 0
      ? problem.verifyUs(measured, 0) + problem.stepUs
      : d * problem.draftUs(measured) + problem.verifyUs(measured, d) + problem.roundUs;
  let time = Number.NaN;
  for (let i = 0; i < problem.batches.length; i++) {
    const [low, high] = [problem.batches[i], problem.batches[i + 1]];
    if (batch === low) time = us(low);
    else if (high !== undefined && batch > low && batch < high)
      time = us(low) + ((us(high) - us(low)) * (batch - low)) / (high - low);
  }
  let tokens = 0;
  for (let i = 0; i <= d; i++) tokens += problem.curve[i];
  return (1e6 * batch * tokens) / time;
}

/** [largest batch] the best length of the batches 1, 2, 3, …; of equal ones the shortest. */
export function bestByBatch(problem: BatchProblem): number[] {
  const lengths: number[] = [];
  for (let batch = 1; batch <= problem.batches[problem.batches.length - 1]; batch++) {
    let best = 0;
    for (let d = 1; d < problem.curve.length; d++)
      if (batchSpeed(problem, batch, d) > batchSpeed(problem, batch, best) * (1 + 1e-12)) best = d;
    lengths.push(best);
  }
  return lengths;
}
