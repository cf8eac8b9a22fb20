import { describe, expect, test } from "vitest";
import { fitRows } from "../../src/model/kernels/fit.js";
import { evenMoments, type Moments, rowOf, triangleOf } from "../../src/model/kernels/moments.js";
import { type Bits, quantiseRows } from "../../src/model/kernels/quantise.js";
import { uniform } from "../support/numbers.js";

const DAMPING = 0.01;

/** Inputs that depend on one another, some far larger than others. */
function drawnMoments(seed: number, inner: number, group = inner): Moments {
  const next = uniform(seed);
  const values = new Float32Array(inner * group);
  for (let g = 0; g < inner / group; g++) {
    const scale = Array.from({ length: group }, () => Math.exp(3 * next() - 1.5));
    for (let t = 0; t < 2 * group; t++) {
      const common = next() - 0.5;
      const x = scale.map((s) => s * (next() - 0.5 + common));
      for (let i = 0; i < group; i++)
        for (let j = 0; j < group; j++) values[g * group * group + i * group + j] += (x[i] * x[j]) / (2 * group);
    }
  }
  return { inner, group, values };
}

const drawn = (seed: number, length: number, spread = 1): Float32Array => {
  const next = uniform(seed + 1000);
  return Float32Array.from({ length }, () => (next() + next() - 1) * spread);
};

/** [group][group] of one group, with what is added to its diagonal. */
function matrixOf({ group, values }: Moments, index = 0): number[][] {
  const at = (i: number, j: number) => values[index * group * group + i * group + j];
  const mean = Array.from({ length: group }, (_, i) => at(i, i)).reduce((a, b) => a + b, 0) / group;
  return Array.from({ length: group }, (_, i) =>
    Array.from({ length: group }, (_, j) => at(i, j) + (i === j ? DAMPING * mean : 0)),
  );
}

const squared = (matrix: number[][], d: readonly number[]): number =>
  d.reduce((sum, di, i) => sum + di * d.reduce((inner, dj, j) => inner + matrix[i][j] * dj, 0), 0);

/** What the operator makes of bytes: the lowest bits are the first code. */
function restored({ codes, scales }: { codes: Uint8Array; scales: Float32Array }, bits: Bits, block: number): number[] {
  const perByte = 8 / bits;
  const zero = 2 ** (bits - 1);
  return Array.from(codes, (byte) => Array.from({ length: perByte }, (_, k) => (byte >> (bits * k)) & (2 ** bits - 1)))
    .flat()
    .map((code, i) => (code - zero) * scales[Math.floor(i / block)]);
}

const errorsOf = (weights: Float32Array, back: readonly number[]) => Array.from(weights, (w, i) => w - back[i]);

/** Every code, each with the scale that is best for it in closed form. */
function leastError(matrix: number[][], weights: Float32Array, [low, high]: [number, number]): number {
  const steps = weights.map(() => low) as unknown as Float32Array;
  let least = squared(matrix, Array.from(weights));
  const apply = (v: ArrayLike<number>, u: ArrayLike<number>) => {
    let sum = 0;
    for (let i = 0; i < u.length; i++) for (let j = 0; j < u.length; j++) sum += u[i] * matrix[i][j] * v[j];
    return sum;
  };
  for (;;) {
    const norm = apply(steps, steps);
    const along = apply(steps, weights);
    if (norm > 0) least = Math.min(least, apply(weights, weights) - (along * along) / norm);
    let i = 0;
    while (i < steps.length && steps[i] === high) steps[i++] = low;
    if (i === steps.length) return least;
    steps[i]++;
  }
}

const BITS: Bits[] = [8, 4, 2];
const RANGE: Record<number, [number, number]> = { 4: [-8, 7], 2: [-2, 1] };

describe("codes and scales by weighted least squares", () => {
  test.each(BITS)("of %i bits cost a row no more than today's rounding, whatever the moments", (bits) => {
    for (let seed = 1; seed <= 12; seed++) {
      const [out, inner, group] = [5, 64, seed % 3 === 0 ? 32 : 64];
      const weights = drawn(seed, out * inner, 10 ** (seed % 4) / 100);
      const moments = seed % 4 === 0 ? evenMoments(inner, 32) : drawnMoments(seed, inner, group);
      for (const float of ["fp32", "fp16"] as const) {
        const before = restored(quantiseRows(weights, out, inner, bits, 32, float), bits, 32);
        const after = restored(fitRows(weights, [out, inner], bits, 32, float, moments), bits, 32);
        for (let at = 0; at < out * inner; at += moments.group) {
          const matrix = matrixOf(moments, (at % inner) / moments.group);
          const part = (back: number[]) => squared(matrix, errorsOf(weights, back).slice(at, at + moments.group));
          expect(part(after)).toBeLessThanOrEqual(part(before) * (1 + 1e-6));
        }
      }
    }
  });

  test.each([
    { name: "4 bits, every input alike", bits: 4 as Bits, even: true, blocks: 8, share: 0.5 },
    { name: "4 bits, inputs that depend on one another", bits: 4 as Bits, even: false, blocks: 8, share: 0.5 },
    { name: "2 bits, every input alike", bits: 2 as Bits, even: true, blocks: 100, share: 0.5 },
    { name: "2 bits, inputs that depend on one another", bits: 2 as Bits, even: false, blocks: 100, share: 0.5 },
  ])(
    "lie between today's rounding and the best of all codes, near the best: $name",
    ({ bits, even, blocks, share }) => {
      let [could, gained] = [0, 0];
      for (let seed = 1; seed <= blocks; seed++) {
        const inner = 4;
        const weights = drawn(seed, inner);
        const moments = even ? evenMoments(inner, 4) : drawnMoments(seed, inner);
        const matrix = matrixOf(moments);
        const error = (made: { codes: Uint8Array; scales: Float32Array }) =>
          squared(matrix, errorsOf(weights, restored(made, bits, 4)));
        const before = error(quantiseRows(weights, 1, inner, bits, 4));
        const after = error(fitRows(weights, [1, inner], bits, 4, "fp32", moments));
        const best = leastError(matrix, weights, RANGE[bits]);
        expect(after).toBeGreaterThanOrEqual(best * (1 - 1e-5) - 1e-12);
        expect(after).toBeLessThanOrEqual(before * (1 + 1e-6));
        could += before - best;
        gained += before - after;
      }
      expect(gained).toBeGreaterThan(share * could); // of all that choosing codes and scales can gain
    },
  );

  test("are, for their scales, the codes that GPTQ's inverse gives", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const [inner, block] = [12, 4];
      const weights = drawn(seed, inner);
      const moments = drawnMoments(seed, inner);
      const back = restored(fitRows(weights, [1, inner], 4, block, "fp32", moments), 4, block);
      const simple = restored(quantiseRows(weights, 1, inner, 4, block), 4, block);
      if (back.every((b, i) => b === simple[i])) continue; // kept today's rounding
      const { scales } = fitRows(weights, [1, inner], 4, block, "fp32", moments);
      const { order } = triangleOf(moments, 0, block);
      const twin = gptq(Array.from(weights), matrixOf(moments), [...order], (i) => scales[Math.floor(i / block)]);
      back.forEach((b, i) => {
        expect(b).toBeCloseTo(twin[i], 5);
      });
    }
  });

  test("a triangle times itself turned is the moments, in its order", () => {
    const moments = drawnMoments(3, 12);
    const { order, starts, factor } = triangleOf(moments, 0, 4);
    const entry = (j: number, k: number) => {
      const own = Math.sqrt(factor[rowOf(k) + k]);
      return j === k ? own : j < k ? factor[rowOf(k) + j] * own : 0;
    };
    const matrix = matrixOf(moments);
    for (let i = 0; i < 12; i++)
      for (let j = 0; j < 12; j++) {
        const product = Array.from({ length: 12 }, (_, k) => entry(i, k) * entry(j, k)).reduce((a, b) => a + b, 0);
        expect(product).toBeCloseTo(matrix[order[i]][order[j]], 6);
      }
    expect(starts).toEqual([0, 4, 8, 12]);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => i));
    for (const start of starts.slice(0, -1))
      expect(new Set([...order.subarray(start, start + 4)].map((i) => i >> 2)).size).toBe(1); // blocks stay together
  });

  test("a short last block and a block of zeros are as today's rounding has them", () => {
    const weights = drawn(7, 2 * 40);
    weights.fill(0, 0, 32);
    const made = fitRows(weights, [2, 40], 4, 32, "fp32", drawnMoments(7, 40));
    const back = restored(made, 4, 32);
    expect(back.slice(0, 32).every((b) => b === 0)).toBe(true);
    expect(back.slice(40, 64).every((b) => b === 0)).toBe(true);
    expect(made.codes.length).toBe((2 * 64) / 2);
  });

  test("moments of another matrix are refused", () => {
    expect(() => fitRows(drawn(1, 64), [1, 64], 4, 32, "fp32", evenMoments(32, 32))).toThrow(/moments of 32/);
  });
});

/** Frantar et al. 2022, algorithm 1, by a matrix inverse: errors are carried forward, in this order. */
function gptq(weights: number[], matrix: number[][], order: number[], scaleOf: (i: number) => number): number[] {
  const n = weights.length;
  const left = order.map((i) => weights[i]);
  let inverse = invert(order.map((i) => order.map((j) => matrix[i][j])));
  const back = new Array<number>(n).fill(0);
  for (let k = 0; k < n; k++) {
    const scale = scaleOf(order[k]);
    const step = scale === 0 ? 0 : Math.min(7, Math.max(-8, Math.floor(left[k] / scale + 0.5)));
    back[order[k]] = step * scale;
    const error = (left[k] - step * scale) / inverse[0][0];
    for (let j = k; j < n; j++) left[j] -= error * inverse[0][j - k];
    // the inverse of what is left, by removing its first row and column
    inverse = inverse
      .slice(1)
      .map((row) => row.slice(1).map((v, j) => v - (row[0] * inverse[0][j + 1]) / inverse[0][0]));
  }
  return back;
}

/** Gauss and Jordan. */
function invert(matrix: number[][]): number[][] {
  const n = matrix.length;
  const both = matrix.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  for (let i = 0; i < n; i++) {
    const pivot = both[i][i];
    both[i] = both[i].map((v) => v / pivot);
    for (let r = 0; r < n; r++) {
      const factor = both[r][i];
      if (r !== i) both[r] = both[r].map((v, c) => v - factor * both[i][c]);
    }
  }
  return both.map((row) => row.slice(n));
}
