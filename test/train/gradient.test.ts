/** The training graph against a loss in doubles and its finite differences, and a training run against PyTorch's. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type HeadsShape, headParameters, parameterCount } from "../../src/model/heads/parameters.js";
import { floats, openTrainingGraphs } from "../../src/runtime/training/head-graphs.js";
import { seededRandom } from "../../src/stats/random.js";
import { adamStep, newAdam } from "../../src/train/adam.js";
import { crossEntropy, headLogits, meanLoss, type NaiveHead } from "../oracle/head-loss.js";

const VOCAB = 13;
const ROWS = 5;
const THREADS = { threads: 1 };

function toy(shape: HeadsShape, seed: number) {
  const random = seededRandom(seed);
  const normals = (array: Float32Array, scale: number) => {
    for (let i = 0; i < array.length; i++) array[i] = scale * random.normal();
    return array;
  };
  const weights = normals(floats(parameterCount(shape)), 0.4);
  const lmHead = normals(floats(VOCAB * shape.hiddenSize), 0.7);
  const graphs = openTrainingGraphs(shape, lmHead, weights, ROWS, THREADS);
  normals(graphs.inputs, 1);
  for (let i = 0; i < graphs.targets.length; i++) graphs.targets[i] = BigInt(random.index(VOCAB));
  return { weights, lmHead, graphs };
}

const matrix = (values: ArrayLike<number>, columns: number, from = 0, length = values.length): number[][] =>
  Array.from({ length: length / columns }, (_, row) =>
    Array.from({ length: columns }, (_, column) => Number(values[from + row * columns + column])),
  );

/** The heads of one flat array, as the oracle takes them. */
function naive(shape: HeadsShape, weights: ArrayLike<number>): NaiveHead[] {
  const of = (head: number, part: string) => {
    const found = headParameters(shape).find((each) => each.head === head && each.part === part);
    if (found === undefined) throw new Error(`no ${part}`);
    return matrix(weights, found.shape[found.shape.length - 1], found.offset, found.length);
  };
  return Array.from({ length: shape.heads }, (_, head) => ({
    weight: of(head, "weight"),
    bias: of(head, "bias")[0],
    residual:
      shape.kind === "medusa" ? null : { weight: of(head, "residual.weight"), bias: of(head, "residual.bias")[0] },
  }));
}

describe.each(["medusa", "hydra"] as const)("%s", (kind) => {
  const shape: HeadsShape = { kind, heads: 3, hiddenSize: 4 };
  const width = kind === "medusa" ? 4 : 4 * 4;

  test("losses and ranks are the oracle's", () => {
    const { weights, lmHead, graphs } = toy(shape, 1);
    graphs.judge();
    const heads = naive(shape, weights);
    matrix(graphs.inputs, width).forEach((x, row) => {
      heads.forEach((head, k) => {
        const target = Number(graphs.targets[row * 3 + k]);
        const logits = headLogits(head, matrix(lmHead, 4), x);
        expect(graphs.losses[row * 3 + k]).toBeCloseTo(crossEntropy(logits, target), 4);
        expect(graphs.ranks[row * 3 + k]).toBe(logits.filter((logit) => logit > logits[target]).length);
      });
    });
    graphs.close();
  });

  test("every weight's gradient is the finite difference of the loss in doubles", () => {
    const { weights, lmHead, graphs } = toy(shape, 2);
    graphs.differentiate();
    const [inputs, targets] = [matrix(graphs.inputs, width), matrix(Array.from(graphs.targets, Number), 3)];
    const loss = (changed: number[]) => meanLoss(naive(shape, changed), matrix(lmHead, 4), inputs, targets);
    const step = 1e-5; // in doubles: the difference is wrong by some 1e-10
    for (let i = 0; i < weights.length; i++) {
      const at = (by: number) => loss(Array.from(weights, (weight, j) => (j === i ? weight + by : weight)));
      expect(graphs.gradient[i]).toBeCloseTo((at(step) - at(-step)) / (2 * step), 5);
    }
    graphs.close();
  });
});

interface Run {
  kind: HeadsShape["kind"];
  heads: number;
  hiddenSize: number;
  rows: number;
  rate: number;
  lmHead: number[];
  inputs: number[];
  targets: number[];
  weights: number[];
  losses: number[];
  trained: number[];
}

/** made by make-training.py */
const RUNS = JSON.parse(readFileSync(new URL("../fixtures/train/training.json", import.meta.url), "utf8")) as Run[];

test.each(RUNS)("forty steps of training $kind heads are PyTorch's", (run) => {
  const weights = floats(run.weights.length);
  weights.set(run.weights);
  const lmHead = floats(run.lmHead.length);
  lmHead.set(run.lmHead);
  const graphs = openTrainingGraphs(run, lmHead, weights, run.rows, THREADS);
  graphs.inputs.set(run.inputs);
  graphs.targets.set(run.targets.map(BigInt));
  const adam = newAdam(weights.length);
  const losses = run.losses.map(() => {
    graphs.differentiate();
    adamStep(weights, graphs.gradient, adam, run.rate);
    return graphs.losses.reduce((sum, loss) => sum + loss, 0) / run.rows;
  });
  graphs.close();
  run.losses.forEach((loss, i) => {
    expect(losses[i]).toBeCloseTo(loss, 3);
  });
  run.trained.forEach((weight, i) => {
    expect(weights[i]).toBeCloseTo(weight, 3);
  });
});
