/** Where Hydra's training begins, against a regression solved by elimination, and against what it is to begin at. */
import { expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { blockInputs, type HeadsShape, headParameters, parameterCount } from "../../src/model/heads/parameters.js";
import { openMomentProducts } from "../../src/runtime/training/moment-products.js";
import { cholesky, solveLeading } from "../../src/stats/linear.js";
import { seededRandom } from "../../src/stats/random.js";
import type { OwnText } from "../../src/train/examples.js";
import { beginsAtRegression, regress } from "../../src/train/regression.js";
import { ridge } from "../oracle/ridge.js";

const SHAPE: HeadsShape = { kind: "hydra", heads: 2, hiddenSize: 3 };
const VOCAB = 11;
const THREADS = { threads: 1 };

/** What head k is told at each position, and the state behind the token that it guesses there. */
function examples(
  texts: readonly OwnText[],
  embedding: Float32Array,
  { heads, hiddenSize: h }: HeadsShape,
  head: number,
) {
  const row = (of: Float32Array, i: number) => [...of.subarray(i * h, (i + 1) * h)];
  const inputs: number[][] = [];
  const wanted: number[][] = [];
  for (const { ids, states } of texts)
    for (let i = 0; i + heads < ids.length; i++) {
      const told = Array.from({ length: head + 1 }, (_, j) => row(embedding, ids[i + j]));
      inputs.push([...row(states, i), ...told.flat()]);
      wanted.push(row(states, i + 1 + head));
    }
  return { inputs, wanted };
}

function someTexts(seed: number, lengths: readonly number[], h: number): OwnText[] {
  const random = seededRandom(seed);
  return lengths.map((length) => ({
    ids: Int32Array.from({ length }, () => random.index(VOCAB)),
    states: Float32Array.from({ length: length * h }, () => 3 + random.normal()),
  }));
}

const normals = (seed: number, length: number) => {
  const random = seededRandom(seed);
  return Float32Array.from({ length }, () => 0.1 * random.normal());
};

async function begun(shape: HeadsShape, texts: readonly OwnText[], embedding: Float32Array, rows: number) {
  const weights = new Float32Array(parameterCount(shape)).fill(9);
  const products = openMomentProducts(shape, rows, THREADS);
  try {
    await regress(shape, weights, texts, embedding, products, silentProgress);
  } finally {
    products.close();
  }
  return (head: number, name: string) => {
    const found = headParameters(shape).find((one) => one.head === head && one.part === name);
    if (found === undefined) throw new Error(`no ${name}`);
    return [...weights.subarray(found.offset, found.offset + found.length)];
  };
}

// 8 rows divide neither 34 positions nor a text's
test.each([8, 64])(
  "every head's residual is the ridge regression of its own inputs, %i rows at a time",
  async (rows) => {
    const embedding = normals(1, VOCAB * 3);
    const texts = someTexts(2, [20, 9, 2, 13], 3);
    const part = await begun(SHAPE, texts, embedding, rows);
    for (let head = 0; head < 2; head++) {
      const { inputs, wanted } = examples(texts, embedding, SHAPE, head);
      expect(inputs).toHaveLength(18 + 7 + 0 + 11);
      const { matrix, bias } = ridge(inputs, wanted, 0.01);
      part(head, "residual.weight").forEach((value, i) => {
        expect(value).toBeCloseTo(matrix[Math.floor(i / blockInputs(SHAPE, head))][i % blockInputs(SHAPE, head)], 3);
      });
      part(head, "residual.bias").forEach((value, i) => {
        expect(value).toBeCloseTo(bias[i], 3);
      });
      expect(part(head, "weight").every((value) => value === 0)).toBe(true);
      expect(part(head, "bias").every((value) => value === 0)).toBe(true);
    }
  },
);

test("an input that never varies gets no weight, and the bias stands for it", async () => {
  const embedding = normals(1, VOCAB * 3).map((value, i) => (i % 3 === 1 ? 0.25 : value));
  const texts = someTexts(4, [60], 3);
  const part = await begun(SHAPE, texts, embedding, 16);
  const matrix = part(1, "residual.weight");
  for (let out = 0; out < 3; out++)
    for (let input = 0; input < 9; input++)
      if (input === 4 || input === 7) expect(Math.abs(matrix[out * 9 + input])).toBeLessThan(1e-6);
      else expect(matrix[out * 9 + input]).not.toBe(0);
});

test("where the next state is a linear map of what a head is told, the head begins by knowing it", async () => {
  const embedding = normals(5, VOCAB * 3).map((value) => 10 * value);
  const random = seededRandom(6);
  const mix = Array.from({ length: 18 }, () => 0.5 * random.normal());
  const texts = [0, 1, 2].map(() => {
    const ids = Int32Array.from({ length: 80 }, () => random.index(VOCAB));
    const states = new Float32Array(80 * 3).fill(0.5);
    for (let i = 1; i < 80; i++)
      for (let out = 0; out < 3; out++) {
        let sum = 0.2;
        for (let j = 0; j < 3; j++)
          sum +=
            mix[6 * out + j] * 0.5 * states[(i - 1) * 3 + j] + mix[6 * out + 3 + j] * embedding[ids[i - 1] * 3 + j];
        states[i * 3 + out] = sum;
      }
    return { ids, states };
  });
  const part = await begun(SHAPE, texts, embedding, 64);
  const { inputs, wanted } = examples(texts, embedding, SHAPE, 0);
  const [matrix, bias] = [part(0, "residual.weight"), part(0, "residual.bias")];
  let [missed, all] = [0, 0];
  inputs.forEach((input, row) => {
    for (let out = 0; out < 3; out++) {
      const guess = input.reduce((sum, x, i) => sum + matrix[6 * out + i] * x, bias[out]);
      missed += (guess - wanted[row][out]) ** 2;
      all += (wanted[row][out] - 0.5) ** 2;
    }
  });
  expect(missed / all).toBeLessThan(0.01); // what the penalty of a hundredth leaves
});

test("Medusa's heads, and Hydra's of which the last is told too much, begin as the model's own prediction", () => {
  expect(beginsAtRegression({ kind: "medusa", heads: 4, hiddenSize: 8 })).toBe(false);
  expect(beginsAtRegression({ kind: "hydra", heads: 4, hiddenSize: 576 })).toBe(true);
  expect(beginsAtRegression({ kind: "hydra", heads: 4, hiddenSize: 2048 })).toBe(false);
});

test("a factor's leading rows solve the leading block, for all right sides at once", () => {
  const random = seededRandom(7);
  const root = Array.from({ length: 25 }, () => random.normal());
  const matrix = Float64Array.from({ length: 25 }, (_, at) => {
    const [i, j] = [Math.floor(at / 5), at % 5];
    return [0, 1, 2, 3, 4].reduce((sum, k) => sum + root[5 * i + k] * root[5 * j + k], i === j ? 1 : 0);
  });
  const factor = cholesky(matrix, 5);
  for (const leading of [1, 3, 5]) {
    const wanted = Float64Array.from({ length: leading * 2 }, () => random.normal());
    const right = Float64Array.from({ length: leading * 2 }, (_, at) => {
      const [i, c] = [at >> 1, at & 1];
      return Array.from({ length: leading }, (_, k) => matrix[5 * i + k] * wanted[2 * k + c]).reduce((a, b) => a + b);
    });
    solveLeading(factor, 5, leading, right, 2);
    right.forEach((value, i) => {
      expect(value).toBeCloseTo(wanted[i], 9);
    });
  }
});
