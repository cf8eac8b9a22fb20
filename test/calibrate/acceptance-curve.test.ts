import fc from "fast-check";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { curveOfRounds } from "../../src/calibrate/acceptance-curve.js";
import { continuePrompts } from "../../src/calibrate/continuation.js";
import { measureDrafts } from "../../src/calibrate/whole-drafts.js";
import { silentProgress } from "../../src/core/progress.js";
import { decode } from "../../src/decode/loop.js";
import { systemClock } from "../../src/runtime/device.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { type ChoiceSet, targetChoices } from "../../src/schema/choice.js";

const POOLED_ROUNDS = 8;
const sum = (values: readonly number[]): number => values.reduce((total, x) => total + x, 0);

/** Tokens of rounds of k, played on text after text, as decoding does. */
function played(texts: readonly (readonly boolean[])[], k: number): number {
  const rounds: number[] = [];
  for (const hits of texts) {
    let left = hits.slice();
    while (left.length >= k) {
      const miss = left.slice(0, k).indexOf(false);
      const emitted = miss === -1 ? k + 1 : miss + 1;
      rounds.push(emitted);
      left = left.slice(emitted);
    }
  }
  return sum(rounds) / rounds.length;
}

/** A text with easy and hard stretches of about 15 tokens. */
function clustered(length: number, seed: number): boolean[] {
  const random = xoroshiro128plus(seed);
  let easy = true;
  return Array.from({ length }, () => {
    if (uniformFloat64(random) < 1 / 15) easy = !easy;
    return uniformFloat64(random) < (easy ? 0.97 : 0.5);
  });
}

describe("a walked curve", () => {
  test("sums up to the tokens of rounds that follow one another, at every length", () => {
    const texts = Array.from({ length: 50 }, (_, i) => clustered(300 + i, i + 1));
    const curve = curveOfRounds(texts, 8, POOLED_ROUNDS);
    for (let k = 1; k <= 8; k++)
      expect(Math.abs(sum(curve.slice(0, k + 1)) / played(texts, k) - 1), `k = ${k}`).toBeLessThan(0.02);
  });

  test("is below that of rounds that begin anywhere, where misses come in clusters", () => {
    const texts = [clustered(20_000, 1)];
    const anywhere = (i: number) =>
      texts[0].slice(0, -i).filter((_, from) => texts[0].slice(from, from + i).every(Boolean)).length /
      (texts[0].length - i);
    const curve = curveOfRounds(texts, 6, POOLED_ROUNDS);
    expect(1 + sum([1, 2, 3, 4, 5, 6].map(anywhere))).toBeGreaterThan(1.05 * sum(curve));
  });

  test("is a curve whatever the hits, and that of a draft without a miss or a hit where there is none", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.boolean(), { maxLength: 40 }), { maxLength: 6 }),
        fc.integer({ min: 1, max: 16 }),
        (texts, d) => {
          const curve = curveOfRounds(texts, d, POOLED_ROUNDS);
          expect(curve).toHaveLength(d + 1);
          expect(curve[0]).toBe(1);
          for (let i = 1; i <= d; i++) {
            expect(curve[i]).toBeGreaterThanOrEqual(0);
            expect(curve[i]).toBeLessThanOrEqual(curve[i - 1]);
          }
        },
      ),
      { seed: 5 },
    );
    expect(curveOfRounds([new Array(30).fill(true)], 4, POOLED_ROUNDS)).toEqual([1, 1, 1, 1, 1]);
    expect(curveOfRounds([new Array(30).fill(false)], 2, POOLED_ROUNDS)).toEqual([1, 0, 0]);
    expect(curveOfRounds([], 2, POOLED_ROUNDS)).toEqual([1, 0, 0]);
  });

  test("few rounds are drawn to the pooled rate", () => {
    // one round of 2 on the text: 1 accepted; hits are 2 of 3
    const [, first, second] = curveOfRounds([[true, false, true]], 2, POOLED_ROUNDS);
    const pooled = 2 / 3;
    const one = (2 + 8 * pooled) / 10;
    const two = (1 + 8 * (pooled + pooled ** 2)) / 9;
    expect(first).toBeCloseTo(one, 5);
    expect(second).toBeCloseTo(two - one, 5);
  });
});

describe("measured drafts (embedded model)", () => {
  const LAYERS = 12;
  let model: LoadedModel;
  beforeAll(async () => {
    model = await loadModel("embedded", { provider: "cpu", threads: 2, capacity: 512 });
  });
  afterAll(() => model.close());

  test("yield in real drafting what their curve says, at every length", async () => {
    const { engine } = model;
    const { eosTokenIds } = engine.spec;
    const blocks = targetChoices(LAYERS).blocks.map((choice, b) => (b >= 10 && b <= 13 ? "skip" : choice));
    const choices: ChoiceSet = { blocks, head: "target" };
    const prompts = [
      [0, 53, 219, 718, 1021, 77, 300, 12],
      [0, 400, 12, 90],
      [0, 77, 9, 1500, 3],
    ];
    const text = await continuePrompts(engine, systemClock, prompts, 240, silentProgress);
    const [{ curve }] = await measureDrafts(engine, text, [choices], 16, silentProgress);
    for (const draftTokens of [1, 2, 4, 8]) {
      let [rounds, tokens] = [0, 0];
      for (const prompt of prompts) {
        const policy = () => ({ choices, draftTokens });
        const decoded = await decode(engine, prompt, {
          maxTokens: 241,
          endTokens: eosTokenIds,
          policy,
          clock: systemClock,
        });
        for (const { drafted, emitted } of decoded.rounds) {
          if (drafted !== draftTokens) continue;
          rounds++;
          tokens += emitted;
        }
      }
      expect(rounds).toBeGreaterThan(30);
      const said = sum(curve.slice(0, draftTokens + 1));
      expect(
        Math.abs(said / (tokens / rounds) - 1),
        `d = ${draftTokens}: ${said}, really ${tokens / rounds}`,
      ).toBeLessThan(0.05);
    }
  }, 60_000);
});
