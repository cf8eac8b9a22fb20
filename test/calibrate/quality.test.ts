/** Perplexity and agreement against closed forms over a model that is a table. */
import { expect, test } from "vitest";
import { qualityOf, type ScoredWindow, scoreWindows } from "../../src/calibrate/quality.js";
import { silentProgress } from "../../src/core/progress.js";
import { uniformChoices } from "../../src/schema/choice.js";
import { tableEngine } from "../support/table-engine.js";

const VOCAB = 9;
const windowOf = (seed: number, length: number): number[] =>
  Array.from({ length }, (_, i) => (seed * 7 + i * i * 3 + i) % VOCAB);

test("every token is scored given those before it, across passes: −ln of its softmax, and the likeliest token", async () => {
  const engine = tableEngine({ vocab: VOCAB, seed: 3, capacity: 256 });
  const windows = [windowOf(1, 150), windowOf(2, 2)]; // more than two passes, and a single position
  const scored = await scoreWindows(engine, windows, silentProgress);
  scored.forEach(({ loss, likeliest }, w) => {
    expect(loss).toHaveLength(windows[w].length - 1);
    for (let i = 0; i < loss.length; i++) {
      const row = [...engine.rowOf(windows[w].slice(0, i + 1))];
      const total = row.reduce((sum, x) => sum + Math.exp(x), 0);
      expect(loss[i]).toBeCloseTo(-Math.log(Math.exp(row[windows[w][i + 1]]) / total), 5);
      expect(likeliest[i]).toBe(row.indexOf(Math.max(...row)));
    }
  });
});

test("a draft's choices are scored as they are, the target's where none are named", async () => {
  const engine = tableEngine({ vocab: VOCAB, seed: 3, capacity: 256 });
  const { layers } = engine.spec;
  const asked = new Set<string>();
  const watched = {
    ...engine,
    run(pass: Parameters<typeof engine.run>[0]) {
      asked.add(pass.choices.head);
      return engine.run(pass);
    },
  };
  await scoreWindows(watched, [windowOf(1, 5)], silentProgress);
  expect([...asked]).toEqual(["target"]);
  asked.clear();
  await scoreWindows(watched, [windowOf(1, 5)], silentProgress, uniformChoices(layers, "int8"));
  expect([...asked]).toEqual(["int8"]);
});

const scored = (losses: number[], likeliest: number[]): ScoredWindow => ({
  loss: Float64Array.from(losses),
  likeliest: Int32Array.from(likeliest),
});

test("perplexity, its ratio and agreement, with Student's interval over windows", () => {
  const reference = [0, 1, 2, 3].map(() => scored([1, 2, 3], [4, 5, 6]));
  // mean losses above the reference's 2: 0.1, 0.2, 0.3, 0.4; likeliest tokens alike: 3, 2, 3, 2 of 3
  const own = [0.1, 0.2, 0.3, 0.4].map((more, w) =>
    scored([1 + more, 2 + more, 3 + more], w % 2 === 0 ? [4, 5, 6] : [4, 5, 0]),
  );
  const { perplexity, perplexityRatio, agreement } = qualityOf(own, reference);
  expect(perplexity).toBeCloseTo(Math.exp(2.25), 12);
  expect(perplexityRatio.median).toBeCloseTo(Math.exp(0.25), 12);
  // standard error of 0.1 … 0.4: sqrt(0.05 / 3) / 2 = 0.0645497; Student's 97.5 % quantile with 3 degrees of freedom: 3.182446
  const half = 3.182446 * 0.0645497;
  expect(Math.log(perplexityRatio.low as number)).toBeCloseTo(0.25 - half, 5);
  expect(Math.log(perplexityRatio.high as number)).toBeCloseTo(0.25 + half, 5);
  expect(agreement.median).toBeCloseTo(5 / 6, 12);
  expect(agreement.high).toBe(1); // 5/6 + 0.306 is no share
  // shares 1, 2/3, 1, 2/3: a standard deviation of 1/3 / √3, over 2
  expect(agreement.low).toBeCloseTo(5 / 6 - (3.182446 * (1 / 3 / Math.sqrt(3))) / 2, 5);
});

test("a target against itself loses nothing; of fewer than four windows there is no interval", () => {
  const same = [scored([1, 2], [1, 2]), scored([3, 1], [0, 0])];
  expect(qualityOf(same, same)).toEqual({
    perplexity: Math.exp(1.75),
    perplexityRatio: { median: 1, low: null, high: null },
    agreement: { median: 1, low: null, high: null },
  });
});
