/** The loss of heads in doubles, row by row, as the papers write it; imports nothing of src. */

export interface NaiveHead {
  /** [H][D] */
  weight: number[][];
  /** [H] */
  bias: number[];
  /** Hydra's; null: the residual is the first H numbers of the input */
  residual: { weight: number[][]; bias: number[] } | null;
}

const affine = (weight: number[][], bias: number[], x: number[]): number[] =>
  weight.map((row, i) => row.reduce((sum, w, j) => sum + w * x[j], bias[i]));

/** [V] logits of a head at one position, from as many of the inputs as its matrix takes */
export function headLogits({ weight, bias, residual }: NaiveHead, lmHead: number[][], inputs: number[]): number[] {
  const own = inputs.slice(0, weight[0].length);
  const z = affine(weight, bias, own);
  const base = residual === null ? own : affine(residual.weight, residual.bias, own);
  const h = z.map((v, i) => base[i] + v / (1 + Math.exp(-v)));
  return lmHead.map((row) => row.reduce((sum, e, i) => sum + e * h[i], 0));
}

/** −log softmax(logits)[target] */
export function crossEntropy(logits: number[], target: number): number {
  const most = Math.max(...logits);
  return most + Math.log(logits.reduce((sum, l) => sum + Math.exp(l - most), 0)) - logits[target];
}

/** Mean over positions of the losses of all heads together. */
export function meanLoss(heads: NaiveHead[], lmHead: number[][], inputs: number[][], targets: number[][]): number {
  const each = inputs.map((x, row) =>
    heads.reduce((sum, head, k) => sum + crossEntropy(headLogits(head, lmHead, x), targets[row][k]), 0),
  );
  return each.reduce((sum, loss) => sum + loss, 0) / each.length;
}
