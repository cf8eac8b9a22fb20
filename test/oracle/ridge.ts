/** Ridge regression by the normal equations with an own column of ones, solved by elimination; imports nothing of src. */

/**
 * @param inputs  [n][D]
 * @param wanted  [n][W]
 * @param penalty of an input, times its variance times n; the constant has none
 * @returns matrix [W][D] and bias [W] of the map
 */
export function ridge(inputs: number[][], wanted: number[][], penalty: number): { matrix: number[][]; bias: number[] } {
  const width = inputs[0].length;
  const rows = inputs.map((row) => [...row, 1]);
  const system = Array.from({ length: width + 1 }, (_, i) => [
    ...Array.from({ length: width + 1 }, (_, j) => rows.reduce((sum, row) => sum + row[i] * row[j], 0)),
    ...wanted[0].map((_, w) => rows.reduce((sum, row, r) => sum + row[i] * wanted[r][w], 0)),
  ]);
  for (let i = 0; i < width; i++) {
    const mean = inputs.reduce((sum, row) => sum + row[i], 0) / inputs.length;
    system[i][i] += penalty * inputs.reduce((sum, row) => sum + (row[i] - mean) ** 2, 0);
  }
  for (let i = 0; i <= width; i++) {
    const pivot = system.findIndex(
      (row, r) => r >= i && Math.abs(row[i]) === Math.max(...system.slice(i).map((s) => Math.abs(s[i]))),
    );
    [system[i], system[pivot]] = [system[pivot], system[i]];
    for (let r = 0; r <= width; r++) {
      if (r === i) continue;
      const times = system[r][i] / system[i][i];
      for (let c = i; c < system[r].length; c++) system[r][c] -= times * system[i][c];
    }
  }
  const solved = (i: number, w: number) => system[i][width + 1 + w] / system[i][i];
  return {
    matrix: wanted[0].map((_, w) => Array.from({ length: width }, (_, i) => solved(i, w))),
    bias: wanted[0].map((_, w) => solved(width, w)),
  };
}
