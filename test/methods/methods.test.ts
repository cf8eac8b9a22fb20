/** The methods beside the knapsack, on toy models whose best answer can be found by trying everything. */
import { describe, expect, test } from "vitest";
import { bestByLayersSkipped } from "../../src/methods/clasp.js";
import { exitAfter } from "../../src/methods/early-exit.js";
import { expectedImprovement, gaussianProcess } from "../../src/methods/gaussian-process.js";
import type { TracedText } from "../../src/methods/hidden-states.js";
import { similarity } from "../../src/methods/hidden-states.js";
import { bestByBudget } from "../../src/methods/knapspec.js";
import { layerSet, skipCounts } from "../../src/methods/layers.js";
import { search } from "../../src/methods/swift.js";
import { evenlySkipped } from "../../src/methods/uniform.js";
import type { Engine } from "../../src/runtime/engine.js";
import { uniform } from "../support/numbers.js";

const LAYERS = 5;
const BLOCKS = 2 * LAYERS;
const silent = async () => {};

/**
 * A model whose block b adds weight[b] in a direction of its own. What a draft leaves out is then orthogonal to what it keeps,
 * so its similarity to the full model is |kept| / |all|, and the carried programs are exact.
 */
function toy(weights: readonly number[]): TracedText {
  const size = BLOCKS + 1;
  const add = (from: Float32Array, blocks: readonly number[]) => {
    const out = from.slice();
    for (const block of blocks) out[block + 1] += weights[block];
    return out;
  };
  const start = new Float32Array(size);
  start[0] = 1;
  const hidden = Array.from({ length: BLOCKS + 1 }, (_, b) =>
    add(
      start,
      Array.from({ length: b }, (_, i) => i),
    ),
  );
  const engine = {
    spec: { layers: LAYERS, hiddenSize: size },
    run: ({ input, choices }: Parameters<Engine["run"]>[0]) => {
      const run = choices.blocks.flatMap((choice, b) => (choice === "target" ? [b] : []));
      return { hidden: add((input as { hidden: Float32Array }).hidden, run), logits: new Float32Array() };
    },
  } as unknown as Engine;
  return { engine, position: 0, positions: 1, hidden };
}

const subsets = (length: number): boolean[][] =>
  Array.from({ length: 2 ** length }, (_, bits) => Array.from({ length }, (_, i) => ((bits >> i) & 1) === 1));

const drawn = (seed: number): number[] => {
  const next = uniform(seed);
  return Array.from({ length: BLOCKS }, () => 0.1 + next());
};

describe("hidden states carried through a knapsack", () => {
  test.each([1, 2, 3])(
    "KnapSpec's keeps the best blocks of every count, first and last layer among them: seed %i",
    async (seed) => {
      const weights = drawn(seed);
      const states = await bestByBudget(toy(weights), new Array<number>(BLOCKS).fill(10), silent);
      const worth = (kept: readonly boolean[]) => kept.reduce((sum, keep, b) => sum + (keep ? weights[b] ** 2 : 0), 0);
      const ends = [0, 1, BLOCKS - 2, BLOCKS - 1];
      const allowed = subsets(BLOCKS).filter((kept) => ends.every((b) => kept[b]));
      expect(states.map(({ us }) => us).sort((a, b) => a - b)).toEqual([40, 50, 60, 70, 80, 90, 100]);
      for (const { kept, us } of states) {
        const rivals = allowed.filter((other) => other.filter(Boolean).length === us / 10);
        expect(worth(kept)).toBeCloseTo(Math.max(...rivals.map(worth)), 9);
      }
    },
  );

  test.each([1, 2, 3])("CLaSp's skips the best layers of every number: seed %i", async (seed) => {
    const weights = drawn(seed);
    const best = await bestByLayersSkipped(toy(weights), 3, silent);
    const lost = (skipped: readonly boolean[]) =>
      skipped.reduce((sum, skip, l) => sum + (skip ? weights[2 * l] ** 2 + weights[2 * l + 1] ** 2 : 0), 0);
    expect(best).toHaveLength(4);
    best.forEach(({ skipped }, count) => {
      const rivals = subsets(LAYERS).filter((other) => other.filter(Boolean).length === count);
      expect(lost(skipped)).toBeCloseTo(Math.min(...rivals.map(lost)), 9);
    });
  });

  test("similarity is the mean cosine over positions; a state of zeros is like nothing", () => {
    const a = Float32Array.of(1, 0, 0, 2, 0, 0);
    const b = Float32Array.of(1, 1, 0, 5, 3, 4);
    expect(similarity(a, b, 2)).toBeCloseTo((Math.SQRT1_2 + 1 + 0) / 3, 6);
  });
});

describe("drafts of whole layers", () => {
  test("are skipped at even distances, each once", () => {
    expect(evenlySkipped(7, 2)).toEqual([false, false, true, false, true, false, false]);
    for (const layers of [4, 8, 30]) {
      for (const count of skipCounts(layers)) {
        const skipped = evenlySkipped(layers, count);
        expect(skipped.filter(Boolean)).toHaveLength(count);
        expect([skipped[0], skipped[layers - 1]]).toEqual([false, false]);
      }
    }
  });

  test("an exit keeps the first layers and the target's head", () => {
    expect(exitAfter(3, 1)).toEqual(layerSet([false, true, true]));
    expect(exitAfter(3, 1)).toMatchObject({
      blocks: ["target", "target", "skip", "skip", "skip", "skip"],
      head: "target",
    });
  });
});

describe("SWIFT's search", () => {
  const planted = [2, 5, 11];
  const worth = async (skipped: readonly boolean[]) =>
    skipped.reduce((sum, skip, b) => sum + (skip ? (planted.includes(b) ? 1 : -0.7) : 0), 0);
  const run = (seed: number, trials: number) => search({ blocks: 16, trials, random: uniform(seed), worth });

  test("finds a planted set or comes within one block of it, and better than drawing alone", async () => {
    let [searched, random] = [0, 0];
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const [best] = await run(seed, 90);
      expect(best.value).toBeGreaterThanOrEqual(2);
      searched += best.value;
      const next = uniform(seed);
      const draws = Array.from({ length: 90 }, () => Array.from({ length: 16 }, () => next() < 0.2));
      random += Math.max(...(await Promise.all(draws.map(worth))));
    }
    expect(searched).toBeGreaterThan(random);
  });

  test("is the same for the same seed, and tries no set twice", async () => {
    const trials = await run(7, 60);
    expect(await run(7, 60)).toEqual(trials);
    expect(new Set(trials.map(({ skipped }) => skipped.join())).size).toBe(trials.length);
  });
});

describe("the Gaussian process", () => {
  const samples = [
    { x: [true, false, false, true], y: 3 },
    { x: [false, false, false, false], y: 1 },
    { x: [true, true, true, true], y: -2 },
  ];

  test("is near its samples, and far from all of them what it was before", () => {
    const process = gaussianProcess(samples);
    for (const { x, y } of samples) {
      expect(Math.abs(process.at(x).mean - y)).toBeLessThan(0.4);
      expect(process.at(x).deviation).toBeLessThan(0.4);
    }
    const wide = gaussianProcess(samples.map(({ x, y }) => ({ x: [...x, ...new Array<boolean>(60).fill(false)], y })));
    const far = wide.at(new Array<boolean>(64).fill(true));
    expect(Math.abs(far.mean - (3 + 1 - 2) / 3)).toBeLessThan(0.2);
    expect(far.deviation).toBeGreaterThan(1.9);
  });

  test("expected improvement is that of playing it out", () => {
    const next = uniform(3);
    const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
    for (const [centre, deviation, best] of [
      [0, 1, 0.5],
      [2, 0.3, 1],
      [-1, 2, 1],
    ]) {
      const draws = Array.from({ length: 40_000 }, () => Math.max(0, centre + deviation * normal() - best));
      const played = draws.reduce((sum, gain) => sum + gain, 0) / draws.length;
      expect(expectedImprovement({ mean: centre, deviation }, best)).toBeCloseTo(played, 1);
    }
  });
});
