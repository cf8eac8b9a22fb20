import fc from "fast-check";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { countRounds, curveOfRounds, roundsReaching } from "../../src/calibrate/acceptance-curve.js";
import { continuePrompts, spansBackwards } from "../../src/calibrate/continuation.js";
import { measureDrafts } from "../../src/calibrate/whole-drafts.js";
import { silentProgress } from "../../src/core/progress.js";
import { decode } from "../../src/decode/loop.js";
import { systemClock } from "../../src/runtime/device.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { type ChoiceSet, targetChoices } from "../../src/schema/choice.js";
import { acceptedLengthError } from "../../src/stats/length-error.js";

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

describe("a curve of rounds that follow one another", () => {
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

/** Rounds of k worked through by hand: how many, their tokens, and how many came to their last token. */
function counted(texts: readonly (readonly boolean[])[], k: number) {
  const found = { rounds: 0, tokens: 0, reachedLast: 0 };
  for (const hits of texts) {
    let left = hits.slice();
    while (left.length >= k) {
      const run = left.slice(0, k);
      const emitted = run.includes(false) ? run.indexOf(false) + 1 : k + 1;
      found.rounds += 1;
      found.tokens += emitted;
      if (run.slice(0, k - 1).every(Boolean)) found.reachedLast += 1;
      left = left.slice(emitted);
    }
  }
  return found;
}

describe("the evidence behind a curve", () => {
  test("is counted: rounds, their tokens, and rounds that came to their last token", () => {
    const texts = Array.from({ length: 8 }, (_, i) => clustered(90 + i, i + 3));
    for (let k = 1; k <= 16; k++) expect(countRounds(texts, k)).toEqual(counted(texts, k));
    const reached = roundsReaching(texts, 16);
    expect(reached).toHaveLength(16);
    for (let i = 1; i <= 16; i++) expect(reached[i - 1]).toBeLessThanOrEqual(counted(texts, i).reachedLast);
    expect(reached).toEqual([...reached].sort((a, b) => b - a));
    expect(roundsReaching([], 3)).toEqual([0, 0, 0]);
  });

  test("has the error of the tokens of a round that redrawn texts show, and not the smaller one of rounds by themselves", () => {
    // texts differ: some are easy, some hard, as code and prose are
    const drawn = (seed: number) => {
      const random = xoroshiro128plus(0x9e3779b9 + 7919 * seed);
      for (let i = 0; i < 20; i++) uniformFloat64(random);
      return Array.from({ length: 24 }, () => {
        const rate = 0.55 + 0.43 * uniformFloat64(random);
        return Array.from({ length: 96 }, () => uniformFloat64(random) < rate);
      });
    };
    const K = 5;
    const trials = Array.from({ length: 400 }, (_, seed) => {
      const texts = drawn(seed);
      const { tokens, rounds } = countRounds(texts, K);
      return {
        mean: tokens / rounds,
        error: acceptedLengthError(texts.map((hits) => countRounds([hits], K))) as number,
      };
    });
    const mean = sum(trials.map((trial) => trial.mean)) / trials.length;
    const spread = Math.sqrt(sum(trials.map((trial) => (trial.mean / mean - 1) ** 2)) / (trials.length - 1));
    const said = sum(trials.map(({ error }) => error)) / trials.length;
    // the spread of 400 means is itself known to 3.5 %; the delta method over 24 texts to some per cent
    expect(Math.abs(said / spread - 1)).toBeLessThan(0.12);
  });

  test("one text says nothing of how texts differ", () => {
    expect(acceptedLengthError([{ rounds: 40, tokens: 100 }])).toBeNull();
    expect(
      acceptedLengthError([
        { rounds: 40, tokens: 100 },
        { rounds: 0, tokens: 0 },
      ]),
    ).toBeNull();
    // texts of 2 and 3 tokens a round: residuals −5 and 5 around 2.5, times √2, over 50 tokens
    expect(
      acceptedLengthError([
        { rounds: 10, tokens: 20 },
        { rounds: 10, tokens: 30 },
      ]),
    ).toBeCloseTo((Math.sqrt(50) * Math.SQRT2) / 50, 12);
  });
});

/** Tokens that each round of k emits along a text. */
function emittedAlong(hits: readonly boolean[], k: number): number[] {
  const emitted: number[] = [];
  for (let from = 0; from + k <= hits.length; from += emitted[emitted.length - 1]) {
    const miss = hits.slice(from, from + k).indexOf(false);
    emitted.push(miss === -1 ? k + 1 : miss + 1);
  }
  return emitted;
}

describe("measured drafts (embedded model)", () => {
  const LAYERS = 12;
  const TOKENS = 48;
  const LENGTHS = [2, 5];
  const PROMPTS = [
    [0, 53, 219, 718, 1021, 77, 300, 12],
    [0, 400, 12, 90],
  ];
  let model: LoadedModel;
  beforeAll(async () => {
    model = await loadModel("embedded", { provider: "cpu", threads: 1, capacity: 128 });
  });
  afterAll(() => model.close());

  test("are accepted along the text as in real drafting: the same rounds, token for token", async () => {
    const { engine } = model;
    // without the last layer no key or value differs from the target's, so it does not matter where a round began
    const blocks = targetChoices(LAYERS).blocks.map((choice, b) => (b >= 2 * LAYERS - 2 ? "skip" : choice));
    const choices: ChoiceSet = { blocks, head: "target" };
    const text = await continuePrompts(engine, systemClock, PROMPTS, TOKENS, silentProgress);
    expect(text).toHaveLength(PROMPTS.length);
    for (const [index, prompt] of PROMPTS.entries()) {
      const [found] = await measureDrafts(engine, [text[index]], [choices], 16, silentProgress);
      // positions are worked through from the last round to the first
      const hits = new Array<boolean>(found.positions.length);
      let at = 0;
      for (const { from, count } of spansBackwards(text[index], 16))
        for (let k = 0; k < count; k++) hits[from + k] = found.positions[at++] === 1;
      for (const draftTokens of LENGTHS) {
        const options = { maxTokens: TOKENS + 1, endTokens: engine.spec.eosTokenIds, clock: systemClock };
        const { rounds } = await decode(engine, prompt, { ...options, policy: () => ({ choices, draftTokens }) });
        const full = rounds.filter(({ drafted }) => drafted === draftTokens);
        const real = full.map(({ emitted }) => emitted);
        const said = emittedAlong(hits, draftTokens);
        expect(Math.min(said.length, real.length)).toBeGreaterThan(5);
        // the end of the output may cut the last round of one side alone
        expect(Math.abs(said.length - real.length)).toBeLessThanOrEqual(1);
        const both = Math.min(said.length, real.length);
        expect(said.slice(0, both), `prompt ${index}, d = ${draftTokens}`).toEqual(real.slice(0, both));
      }
    }
  });
});
