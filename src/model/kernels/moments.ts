/**
 * Second moments of a matrix's inputs, x xᵀ on average over a text: what an error in a weight costs. With d the errors of a
 * row, the product's squared error is dᵀ M d on average; that is the weighted error that codes and scales are fitted to (fit.ts).
 */

export interface Moments {
  inner: number;
  /** inputs that are looked at together; it divides `inner` */
  group: number;
  /** [inner / group, group, group], symmetric */
  values: Float32Array;
}

/** As every input counts alike, whatever the text. */
export function evenMoments(inner: number, block: number): Moments {
  const group = inner % block === 0 ? block : inner;
  const values = new Float32Array(inner * group);
  for (let i = 0; i < inner; i++) values[i * group + (i % group)] = 1;
  return { inner, group, values };
}

/**
 * The moments of one group as a product of triangles, in the order in which its inputs are rounded.
 *
 * M = R Rᵀ with R upper triangular, so dᵀ M d is the sum of squares of (dᵀ R)_k = R_kk (d_k + Σ_{j<k} d_j R_jk / R_kk): an
 * input's own error and what those before it left to it. Rounding one input after the other to the code that keeps this
 * term smallest is Babai's nearest plane (1986), and the same as GPTQ (Frantar et al. 2022, arXiv:2210.17323), which carries the
 * errors forward by the inverse; no inverse is needed here.
 */
export interface Triangle {
  /** [group] inputs in the order they are rounded: blocks stay together, those of the greatest moments come first */
  order: Int32Array;
  /** [group] where in `order` each block begins, and the end */
  starts: number[];
  /** [group (group + 1) / 2] row k: R_jk / R_kk for j < k, then R_kk² */
  factor: Float64Array;
}

/** Added to every diagonal entry as a share of their mean: inputs that the text never showed cost something too. */
const DAMPING = 0.01;

export const rowOf = (k: number): number => (k * (k + 1)) / 2;

/** @param block inputs that share a scale */
export function triangleOf({ group, values }: Moments, index: number, block: number): Triangle {
  const from = index * group * group;
  const at = (i: number, j: number) => values[from + i * group + j];
  const { order, starts } = orderOf(group, block, (i) => at(i, i));
  let mean = 0;
  for (let i = 0; i < group; i++) mean += at(i, i) / group;
  const damping = mean > 0 ? DAMPING * mean : 1;
  // Backwards, an upper triangle is a lower one: Cholesky from the last input in the order to the first.
  const lower = new Float64Array(group * group);
  for (let i = 0; i < group; i++) {
    const a = order[group - 1 - i];
    for (let j = 0; j <= i; j++) {
      let sum = at(a, order[group - 1 - j]) + (i === j ? damping : 0);
      const [rowI, rowJ] = [i * group, j * group];
      for (let k = 0; k < j; k++) sum -= lower[rowI + k] * lower[rowJ + k];
      // rounding may leave a moment of nought a little below it
      lower[rowI + j] = i === j ? Math.sqrt(Math.max(sum, 1e-6 * damping)) : sum / lower[rowJ + j];
    }
  }
  const factor = new Float64Array(rowOf(group));
  for (let k = 0; k < group; k++) {
    const column = group - 1 - k; // R_jk is the entry of the turned row j, column k
    const own = lower[column * group + column];
    for (let j = 0; j < k; j++) factor[rowOf(k) + j] = lower[(group - 1 - j) * group + column] / own;
    factor[rowOf(k) + k] = own * own;
  }
  return { order, starts, factor };
}

function orderOf(group: number, block: number, moment: (i: number) => number): Pick<Triangle, "order" | "starts"> {
  const blocks = Array.from({ length: Math.ceil(group / block) }, (_, b) => {
    const inputs = Array.from({ length: Math.min(block, group - b * block) }, (_, i) => b * block + i);
    return inputs.toSorted((i, j) => moment(j) - moment(i) || i - j);
  });
  const weight = (inputs: readonly number[]) => inputs.reduce((sum, i) => sum + moment(i), 0);
  const sorted = blocks.toSorted((a, b) => weight(b) - weight(a) || a[0] - b[0]);
  const starts = [0];
  for (const inputs of sorted) starts.push((starts.at(-1) as number) + inputs.length);
  return { order: Int32Array.from(sorted.flat()), starts };
}
