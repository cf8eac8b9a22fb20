/** Where the two greatest logits are this close, either choice is right: kernels round differently. */
export const TIE = 1e-3;

export interface Comparison {
  /** first place that differs though it is no tie; null: none */
  mismatchAt: number | null;
  /** 1 where the outputs part at a tie; what follows then cannot be compared */
  ties: number;
  compared: number;
}

/** @param margins [n] distance of the golden's two greatest logits at each token */
export function compareGreedy(
  ids: readonly number[],
  expected: readonly number[],
  margins: readonly number[],
): Comparison {
  const at = expected.findIndex((id, i) => ids[i] !== id);
  if (at === -1)
    return { mismatchAt: ids.length === expected.length ? null : expected.length, ties: 0, compared: expected.length };
  if (ids[at] !== undefined && margins[at] < TIE) return { mismatchAt: null, ties: 1, compared: at };
  return { mismatchAt: at, ties: 0, compared: at };
}
