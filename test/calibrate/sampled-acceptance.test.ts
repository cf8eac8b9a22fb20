import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { describe, expect, test } from "vitest";
import { calibrate } from "../../src/calibrate/calibrate.js";
import { continuePrompts } from "../../src/calibrate/continuation.js";
import { sampledCurve } from "../../src/calibrate/sampled-acceptance.js";
import { atTemperature, drawToken } from "../../src/calibrate/sampling.js";
import { measureDrafts } from "../../src/calibrate/whole-drafts.js";
import { silentProgress } from "../../src/core/progress.js";
import type { Engine, Pass } from "../../src/runtime/engine.js";
import { targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { parseDocument, stringifyDocument } from "../../src/schema/document.js";
import { CPU_NUMERICS } from "../../src/schema/numerics.js";
import { FakeClock } from "../support/fake-engine.js";
import { fakeEngine } from "../support/fake-model.js";

const VOCAB = 5;
const DRAFT_TOKENS = 4;
const { spec } = fakeEngine().engine;
const target = targetChoices(spec.layers);
const draft = uniformChoices(spec.layers, "int8");

/** [VOCAB] rows of [VOCAB] logits: a chain in which the next token depends on the last one only. */
function chain(seed: number): number[][] {
  const random = xoroshiro128plus(seed);
  return Array.from({ length: VOCAB }, () => Array.from({ length: VOCAB }, () => 3 * uniformFloat64(random)));
}

const hiddenOf = (input: Pass["input"]): Float32Array => (input as { hidden: Float32Array }).hidden;

/** The target follows one chain, every draft another. */
function chains(seed: number): { engine: Engine; p: number[][]; q: number[][] } {
  const p = chain(seed);
  const other = chain(seed + 1000);
  const q = p.map((row, i) => row.map((x, j) => 0.6 * x + 0.4 * other[i][j]));
  const engine: Engine = {
    numerics: CPU_NUMERICS,
    kernels: fakeEngine().engine.kernels,
    readCache: () => new Float32Array(),
    close: () => {},
    spec: { ...spec, vocabSize: VOCAB, eosTokenIds: [] },
    capacity: 100_000,
    run: (pass: Pass) => {
      // a hidden state is the token it came from: no block changes it
      const width = spec.hiddenSize;
      const ids =
        "hidden" in pass.input
          ? Array.from({ length: pass.input.hidden.length / width }, (_, i) => hiddenOf(pass.input)[i * width])
          : Array.from(pass.input);
      const hidden = new Float32Array(ids.length * width);
      ids.forEach((id, i) => {
        hidden[i * width] = id;
      });
      const table = pass.choices.head === "target" && pass.choices.blocks.every((c) => c === "target") ? p : q;
      const logits = Float32Array.from(ids.slice(ids.length - pass.logitRows).flatMap((id) => table[id]));
      return { logits, hidden };
    },
  };
  return { engine, p, q };
}

const softmax = (row: readonly number[], temperature: number): number[] => {
  const exps = row.map((x) => Math.exp(x / temperature));
  const sum = exps.reduce((a, b) => a + b, 0);
  return exps.map((x) => x / sum);
};

/** Speculative sampling as published, played out: a draft drawn token by token, each kept with chance min(1, p/q). */
function simulate(
  p: number[][],
  q: number[][],
  temperature: number,
  starts: readonly number[],
  seed: number,
): number[] {
  const random = xoroshiro128plus(seed);
  const draw = (weights: readonly number[]): number => {
    let left = uniformFloat64(random);
    const found = weights.findIndex((w) => {
      left -= w;
      return left < 0;
    });
    return found === -1 ? weights.length - 1 : found;
  };
  const kept = new Array<number>(DRAFT_TOKENS).fill(0);
  for (const start of starts) {
    let last = start;
    for (let i = 0; i < DRAFT_TOKENS; i++) {
      const [pr, qr] = [softmax(p[last], temperature), softmax(q[last], temperature)];
      const x = draw(qr);
      if (uniformFloat64(random) >= Math.min(1, pr[x] / qr[x])) break;
      kept[i]++;
      last = x;
    }
  }
  return kept.map((count) => count / starts.length);
}

const TOKENS = 4001;

async function expectedCurve(engine: Engine, temperature: number) {
  const prompts = [0, 1, 2, 3, 4].map((id) => [id]);
  const sampling = { temperature, seed: 11 };
  const text = await continuePrompts(engine, new FakeClock(), prompts, TOKENS, silentProgress, sampling);
  const [{ curve, positions }] = await measureDrafts(engine, text, [draft], DRAFT_TOKENS, silentProgress);
  return { curve, positions, text };
}

describe("acceptance when sampling", () => {
  test.each([
    [1, 0.5],
    [2, 1],
    [3, 1.7],
  ])(
    "the expected curve is that of speculative sampling played out, to 3 standard errors (models %i, temperature %f)",
    async (seed, temperature) => {
      const { engine, p, q } = chains(seed);
      const { curve, text } = await expectedCurve(engine, temperature);
      const starts = text.flatMap(({ ids }) => ids);
      const played = simulate(p, q, temperature, starts, 5);
      for (let i = 1; i <= DRAFT_TOKENS; i++) {
        const a = played[i - 1];
        // of the simulation; the expected curve rests on a quarter of the positions, but each says far more than a yes or no
        const error = Math.sqrt((a * (1 - a)) / starts.length) * Math.SQRT2;
        expect(Math.abs(curve[i] - a), `position ${i}: ${curve[i]} expected, ${a} played`).toBeLessThan(3 * error);
      }
      expect(curve[DRAFT_TOKENS]).toBeGreaterThan(0.05);
      expect(curve[1]).toBeLessThan(0.95);
    },
  );

  test("text is drawn from the target's own distribution at the temperature, the same for the same seed", async () => {
    const { engine, p } = chains(4);
    const { text } = await expectedCurve(engine, 0.8);
    expect(await expectedCurve(engine, 0.8)).toEqual({ ...(await expectedCurve(engine, 0.8)), text });
    const after = text.flatMap(({ ids }) => ids.slice(1).filter((_, i) => ids[i] === 2));
    softmax(p[2], 0.8).forEach((chance, id) => {
      const share = after.filter((x) => x === id).length / after.length;
      expect(Math.abs(share - chance)).toBeLessThan(4 * Math.sqrt((chance * (1 - chance)) / after.length));
    });
  });

  test("a draft that is the target is always accepted", async () => {
    const { engine } = chains(5);
    const { text } = await expectedCurve(engine, 1);
    const [{ curve, positions }] = await measureDrafts(
      engine,
      text.slice(0, 1),
      [target],
      DRAFT_TOKENS,
      silentProgress,
    );
    for (const a of curve) expect(a).toBeCloseTo(1, 4);
    for (const overlap of positions) expect(overlap).toBeCloseTo(1, 4);
  });

  test("a lower temperature leads to the greedy token, a temperature of 1 leaves logits alone", () => {
    const logits = Float32Array.of(1, 2, 1.5);
    expect([...atTemperature(logits, 1)]).toEqual([1, 2, 1.5]);
    expect(atTemperature(logits, undefined)).toBe(logits);
    expect([...atTemperature(logits, 0.5)]).toEqual([2, 4, 3]);
    const two = { ids: Int32Array.of(4, 9), probabilities: Float32Array.of(0.25, 0.75) };
    expect([0, 0.2, 0.3, 0.999].map((u) => drawToken(two, u))).toEqual([4, 4, 9, 9]);
  });

  test("weights are the chance that the tokens before were accepted; few rounds are drawn to the pooled rate", () => {
    const rounds = [
      { overlaps: [0.8, 0.5], ratios: [0.5, 1] },
      { overlaps: [0.6, 0.9], ratios: [1, 1] },
    ];
    // a_1 = 1.4 / 2; second: (0.5 · 0.5 + 1 · 0.9) / 1.5
    const [, first, second] = sampledCurve(rounds, 2, 0);
    expect(first).toBeCloseTo(0.7, 6);
    expect(second).toBeCloseTo(0.7 * (1.15 / 1.5), 5);
    const pooled = (1.4 + 1.15) / 3.5;
    expect(sampledCurve(rounds, 3, 8)[1]).toBeCloseTo((1.4 + 8 * pooled) / 10, 5);
    expect(sampledCurve([], 2, 0)).toEqual([1, 0, 0]);
  });
});

describe("a calibration at a temperature", () => {
  const make = (temperature?: number) => {
    const { engine } = chains(6);
    return calibrate({
      engine,
      clock: new FakeClock(),
      model: {
        name: "chain",
        layers: spec.layers,
        architecture_sha256: "a".repeat(64),
        weights_sha256: "b".repeat(64),
      },
      text: { source: "test", sha256: "c".repeat(64) },
      prompts: [{ atContext: 1, choose: [[0], [1]], report: [[2]] }],
      continuationTokens: 32,
      ...(temperature === undefined ? {} : { temperature }),
      progress: silentProgress,
    });
  };

  test("records it, takes losses from overlaps as they are, and is valid", async () => {
    const { calibration, texts } = await make(0.7);
    expect(calibration.text.temperature).toBe(0.7);
    expect(calibration.contexts[0].hits_per_overlap).toBe(1);
    expect(texts.get(1)?.made.every(({ temperature }) => temperature === 0.7)).toBe(true);
    expect(parseDocument(stringifyDocument(calibration), "c.yaml")).toEqual(calibration);
  });

  test("is not the greedy one, which says nothing of a temperature", async () => {
    const greedy = (await make()).calibration;
    expect("temperature" in greedy.text).toBe(false);
    expect((await make(0.7)).calibration.contexts).not.toEqual(greedy.contexts);
  });
});
