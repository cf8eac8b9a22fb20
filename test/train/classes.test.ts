/** Tokens that a step tells apart: an estimate of the loss over all of them. */
import { expect, test } from "vitest";
import { type HeadsShape, parameterCount } from "../../src/model/heads/parameters.js";
import { floats, openTrainingGraphs } from "../../src/runtime/training/head-graphs.js";
import { seededRandom } from "../../src/stats/random.js";
import { Classes } from "../../src/train/classes.js";
import { meanLoss } from "../oracle/head-loss.js";

const text = (...ids: number[]) => ({ ids: Int32Array.from(ids), states: new Float32Array(0) });

/** What is chosen, as a step sees it. */
class Chosen {
  readonly tokens: number[] = [];
  readonly offsets: number[] = [];
  choose(from: number, tokens: Int32Array, offset: number) {
    tokens.forEach((token, i) => {
      this.tokens[from + i] = token;
      this.offsets[from + i] = offset;
    });
  }
}

test("small vocabularies, and texts that have much of one, are told apart whole", () => {
  expect(Classes.of([text(1, 2, 3)], 4096)).toBeNull();
  expect(Classes.of([text(1, 2, 3)], 4102)?.count).toBe(2051);
  expect(Classes.of([text(...Array.from({ length: 400 }, (_, i) => i))], 1000, 101)).toBeNull();
});

test("each token of the text is a class, others are drawn once each, and targets keep their tokens", () => {
  const classes = Classes.of([text(7, 40, 7), text(3)], 50, 12) as Classes;
  const chosen = new Chosen();
  classes.fix(chosen);
  for (let step = 0; step < 20; step++) {
    const targets = BigInt64Array.from([40n, 3n, 7n, 7n]);
    classes.draw(chosen, seededRandom(1, step), targets);
    expect(chosen.tokens).toHaveLength(classes.count);
    expect(new Set(chosen.tokens).size).toBe(3 + 12);
    expect(Array.from(targets, (at) => chosen.tokens[Number(at)])).toEqual([40, 3, 7, 7]);
  }
});

test("the sum over classes is that over the vocabulary, on average", () => {
  const random = seededRandom(5);
  const weights = Array.from({ length: 60 }, () => Math.exp(random.normal()));
  const classes = Classes.of([text(0, 11, 59)], 60, 6) as Classes;
  const chosen = new Chosen();
  classes.fix(chosen);
  const sums = Array.from({ length: 4000 }, (_, step) => {
    classes.draw(chosen, seededRandom(6, step), BigInt64Array.of());
    return chosen.tokens.reduce((sum, token, i) => sum + weights[token] * Math.exp(chosen.offsets[i]), 0);
  });
  const mean = sums.reduce((a, b) => a + b) / sums.length;
  const error = Math.sqrt(sums.reduce((sum, x) => sum + (x - mean) ** 2, 0)) / sums.length;
  expect(Math.abs(mean - weights.reduce((a, b) => a + b)) / error).toBeLessThan(4);
});

test("gradients are the finite differences of the loss over the classes", () => {
  const shape: HeadsShape = { kind: "medusa", heads: 2, hiddenSize: 4 };
  const [vocabSize, rows] = [60, 3];
  const random = seededRandom(8);
  const normals = (array: Float32Array) => array.forEach((_, i) => (array[i] = 0.5 * random.normal()));
  const [weights, lmHead] = [floats(parameterCount(shape)), floats(vocabSize * 4)];
  normals(weights);
  normals(lmHead);
  const classes = Classes.of([text(0, 11, 59)], vocabSize, 6) as Classes;
  const graphs = openTrainingGraphs(shape, lmHead, weights, rows, { threads: 1 }, classes.count);
  const chosen = new Chosen();
  normals(graphs.inputs);
  graphs.targets.set([11n, 0n, 59n, 11n, 0n, 0n]);
  const both = {
    choose: (...given: Parameters<Chosen["choose"]>) => {
      chosen.choose(...given);
      graphs.choose(...given);
    },
  };
  classes.fix(both);
  classes.draw(both, seededRandom(9), graphs.targets);
  graphs.differentiate();
  const targets = Array.from({ length: rows }, (_, row) =>
    Array.from(graphs.targets.slice(2 * row, 2 * row + 2), Number),
  );
  // an offset is one more number of a state that is always 1
  const head = chosen.tokens.map((token, i) => [...lmHead.slice(4 * token, 4 * token + 4), chosen.offsets[i]]);
  const inputs = Array.from({ length: rows }, (_, row) => [...graphs.inputs.slice(4 * row, 4 * row + 4), 1]);
  const loss = (all: readonly number[]) => {
    const at = (k: number, i: number) => 20 * k + i; // W [4, 4], then b [4]
    const heads = [0, 1].map((k) => ({
      weight: [...[0, 1, 2, 3].map((i) => [...all.slice(at(k, 4 * i), at(k, 4 * i + 4)), 0]), [0, 0, 0, 0, 0]],
      bias: [...all.slice(at(k, 16), at(k, 20)), 0],
      residual: null,
    }));
    return meanLoss(heads, head, inputs, targets);
  };
  const step = 1e-5;
  for (let i = 0; i < weights.length; i++) {
    const moved = (by: number) => loss(Array.from(weights, (weight, j) => (j === i ? weight + by : weight)));
    expect(graphs.gradient[i]).toBeCloseTo((moved(step) - moved(-step)) / (2 * step), 5);
  }
  graphs.close();
});
