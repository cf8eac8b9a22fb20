/** Symmetric positive definite systems, dense: what regressions need of linear algebra. */

/** Lower triangle of a Cholesky factor, row-major [size, size]. @throws RangeError where the matrix is not positive definite */
export function cholesky(matrix: Float64Array, size: number): Float64Array {
  const factor = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * size + j];
      for (let k = 0; k < j; k++) sum -= factor[i * size + k] * factor[j * size + k];
      if (i === j) {
        if (!(sum > 0)) throw new RangeError(`not positive definite at row ${i}`);
        factor[i * size + i] = Math.sqrt(sum);
      } else {
        factor[i * size + j] = sum / factor[j * size + j];
      }
    }
  }
  return factor;
}

/** x with factor · factorᵀ · x = right */
export function solveCholesky(factor: Float64Array, size: number, right: Float64Array): Float64Array {
  const x = Float64Array.from(right);
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < i; k++) x[i] -= factor[i * size + k] * x[k];
    x[i] /= factor[i * size + i];
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) x[i] -= factor[k * size + i] * x[k];
    x[i] /= factor[i * size + i];
  }
  return x;
}

/**
 * Solves the system of a factor's leading rows for many right sides at once: the leading block of a Cholesky factor is the
 * factor of the matrix's leading block.
 * @param leading rows of the factor [size, size] that count
 * @param right   [leading, columns] row-major; the solutions stand there afterwards
 */
export function solveLeading(
  factor: Float64Array,
  size: number,
  leading: number,
  right: Float64Array,
  columns: number,
): void {
  const row = (i: number) => right.subarray(i * columns, (i + 1) * columns);
  const takeFrom = (of: Float64Array, times: number, other: Float64Array) => {
    for (let c = 0; c < columns; c++) of[c] -= times * other[c];
  };
  const divide = (of: Float64Array, by: number) => {
    for (let c = 0; c < columns; c++) of[c] /= by;
  };
  for (let i = 0; i < leading; i++) {
    const own = row(i);
    for (let k = 0; k < i; k++) takeFrom(own, factor[i * size + k], row(k));
    divide(own, factor[i * size + i]);
  }
  for (let k = leading - 1; k >= 0; k--) {
    const own = row(k);
    divide(own, factor[k * size + k]);
    for (let i = 0; i < k; i++) takeFrom(row(i), factor[k * size + i], own);
  }
}

/** Diagonal of the inverse: squared column lengths of factor⁻¹. */
export function inverseDiagonal(factor: Float64Array, size: number): Float64Array {
  const diagonal = new Float64Array(size);
  const column = new Float64Array(size);
  for (let j = 0; j < size; j++) {
    for (let i = j; i < size; i++) {
      let sum = i === j ? 1 : 0;
      for (let k = j; k < i; k++) sum -= factor[i * size + k] * column[k];
      column[i] = sum / factor[i * size + i];
      diagonal[j] += column[i] * column[i];
    }
  }
  return diagonal;
}
