/** Least value at places (i, j) with i ≤ row and j ≤ column, as a binary indexed tree (Fenwick 1994) in two dimensions. */
export class PrefixMinimum {
  private readonly tree: Float64Array;
  private readonly width: number;

  constructor(
    private readonly rows: number,
    private readonly columns: number,
  ) {
    this.width = columns + 1;
    this.tree = new Float64Array((rows + 1) * this.width).fill(Number.POSITIVE_INFINITY);
  }

  clear(): void {
    this.tree.fill(Number.POSITIVE_INFINITY);
  }

  /** Whether a value at or below `value` stands at a place with no larger row and column. */
  hasAtMost(value: number, row: number, column: number): boolean {
    for (let i = row + 1; i > 0; i &= i - 1) {
      const at = i * this.width;
      for (let j = column + 1; j > 0; j &= j - 1) if (this.tree[at + j] <= value) return true;
    }
    return false;
  }

  add(value: number, row: number, column: number): void {
    for (let i = row + 1; i <= this.rows; i += i & -i) {
      const at = i * this.width;
      for (let j = column + 1; j <= this.columns; j += j & -j) if (value < this.tree[at + j]) this.tree[at + j] = value;
    }
  }
}
