/** What a pass over a tree is made of: each row's depth, whom it sees, and which rows one path of it takes. */
import { DraftplanError } from "../core/errors.js";

/**
 * The depth of each row: 0 for one that follows the cache itself.
 * @param parents [q] the row that each row follows, an earlier one; −1: what the cache holds
 * @throws RangeError where a row follows itself, a later one or none that there is
 */
export function rowDepths(parents: ArrayLike<number>): Int32Array {
  const depths = new Int32Array(parents.length);
  for (let row = 0; row < parents.length; row++) {
    const parent = parents[row];
    if (!Number.isInteger(parent) || parent < -1 || parent >= row)
      throw new RangeError(`row ${row} of a tree follows row ${parent}, and not an earlier one`);
    depths[row] = parent === -1 ? 0 : depths[parent] + 1;
  }
  return depths;
}

/** [q] of a chain: every row follows the one before it. */
export const chainParents = (q: number): number[] => Array.from({ length: q }, (_, row) => row - 1);

/** Whether every row follows the one before it: such a tree is a chain, and runs as one. */
export function isChain(parents: ArrayLike<number>): boolean {
  for (let row = 0; row < parents.length; row++) if (parents[row] !== row - 1) return false;
  return true;
}

/**
 * @param rows rows of a pass that are to be kept, ascending
 * @param most rows that may be there
 * @throws RangeError
 */
export function requireAscendingRows(rows: ArrayLike<number>, most: number): void {
  for (let i = 0; i < rows.length; i++) {
    const least = i === 0 ? 0 : rows[i - 1] + 1;
    if (!Number.isInteger(rows[i]) || rows[i] < least || rows[i] >= most)
      throw new RangeError(`row ${rows[i]} cannot be kept behind row ${least - 1}: rows ascend, below ${most}`);
  }
}

/** Rows that lie where they belong already: 0, 1, … */
export function rowsInPlace(rows: ArrayLike<number>): number {
  let i = 0;
  while (i < rows.length && rows[i] === i) i++;
  return i;
}

/** @param what why this engine runs no tree here */
export const noTrees = (what: string) =>
  new DraftplanError({
    code: "CHOICE_UNAVAILABLE",
    at: "a pass over a tree",
    what,
    remedy:
      "Draft chains, or run the target on the CPU (--provider cpu); cuda runs trees from ONNX Runtime 1.31 on (as a library: loadModel with trees: true).",
  });
