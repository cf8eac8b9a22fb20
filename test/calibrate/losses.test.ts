import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { describe, expect, test } from "vitest";
import { calibrate } from "../../src/calibrate/calibrate.js";
import { continuePrompts } from "../../src/calibrate/continuation.js";
import { hitsPerOverlap, isWanted, lossProbes, lossRecord, measureLosses, Tally } from "../../src/calibrate/losses.js";
import { overlap, sparseSoftmax } from "../../src/calibrate/overlap.js";
import { makePrompts, spreadWindows } from "../../src/calibrate/windows.js";
import { silentProgress } from "../../src/core/progress.js";
import { type ChoiceSet, DEFAULT_KERNELS, targetChoices } from "../../src/schema/choice.js";
import { seededRandom } from "../../src/stats/random.js";
import { FakeClock, FakeEngine } from "../support/fake-engine.js";
import { EXACT_TIMES } from "../support/fake-model.js";
import { tinySpec } from "../support/tiny-checkpoint.js";

function randomLogits(seed: number, count: number): Float32Array {
  const random = xoroshiro128plus(seed);
  return Float32Array.from({ length: count }, () => 30 * uniformFloat64(random) - 15);
}

function naiveSoftmax(logits: Float32Array): number[] {
  const max = Math.max(...logits);
  const exps = [...logits].map((x) => Math.exp(x - max));
  const sum = exps.reduce((a, b) => a + b, 0);
  return exps.map((e) => e / sum);
}

describe("overlap", () => {
  test.each([1, 2, 3, 4, 5])("equals the naive sum of minima within 1e-5 (seed %i)", (seed) => {
    const vocab = 500;
    const a = randomLogits(seed, vocab);
    const b = randomLogits(seed + 100, vocab).map((x, i) => a[i] + x / 10);
    const both = new Float32Array(2 * vocab);
    both.set(b, vocab);
    const [pn, qn] = [naiveSoftmax(a), naiveSoftmax(b)];
    const expected = pn.reduce((sum, x, i) => sum + Math.min(x, qn[i]), 0);
    expect(overlap(sparseSoftmax(a, 0, vocab), both, 1, vocab)).toBeCloseTo(expected, 5);
    const p = sparseSoftmax(both, 1, vocab);
    expect(Math.max(...p.probabilities.map((x, i) => Math.abs(x - qn[p.ids[i]])))).toBeLessThan(1e-6);
    expect(p.probabilities.reduce((sum, x) => sum + x, 0)).toBeCloseTo(1, 4);
  });

  test("is 1 for the same distribution and 0 for disjoint ones", () => {
    const one = Float32Array.of(0, -1, -2, -80);
    expect(overlap(sparseSoftmax(one, 0, 4), one, 0, 4)).toBeCloseTo(1, 6);
    expect(overlap(sparseSoftmax(Float32Array.of(50, 0), 0, 2), Float32Array.of(0, 50), 0, 2)).toBe(0);
  });
});

function tally(hits: number, positions: number, meanOverlap: number): Tally {
  const t = new Tally();
  for (let i = 0; i < positions; i++) t.add([i < hits], [meanOverlap]);
  return t;
}

describe("tallies", () => {
  test("the loss is −ln of the mean overlap, its error by the delta method", () => {
    const t = new Tally();
    t.add([true, true, false, true], [1, 0.9, 0.5, 0.8]);
    const mean = 0.8;
    const variance = (1 + 0.81 + 0.25 + 0.64) / 4 - mean ** 2;
    expect(t.loss.loss).toBeCloseTo(-Math.log(mean), 12);
    expect(t.loss.standardError).toBeCloseTo(Math.sqrt(variance / 4) / mean, 12);
    expect(t.hitRate).toBe(0.75);
  });

  test("one factor turns overlap losses into hit losses: of all probes but ruinous ones, those without a miss too", () => {
    const factor = -Math.log(0.9) / (-Math.log(0.95) - Math.log(0.999));
    expect(hitsPerOverlap([tally(90, 100, 0.95), tally(100, 100, 0.999), tally(5, 100, 0.02)])).toBeCloseTo(factor, 10);
    expect(hitsPerOverlap([tally(100, 100, 1)])).toBe(1);
  });

  test.each([
    { positions: 64, rate: 0.99 },
    { positions: 192, rate: 0.995 },
    { positions: 512, rate: 0.99 },
  ])("the factor is the true one on average: $positions positions, hit rate $rate", ({ positions, rate }) => {
    const truth = 1.5;
    const overlap = rate ** (1 / truth);
    const [repeats, probes] = [400, 60];
    const random = seededRandom(positions);
    const factors = Array.from({ length: repeats }, () =>
      hitsPerOverlap(
        Array.from({ length: probes }, () => {
          let hits = 0;
          for (let i = 0; i < positions; i++) if (random.float() < rate) hits++;
          return tally(hits, positions, overlap);
        }),
      ),
    );
    const mean = factors.reduce((total, x) => total + x, 0) / repeats;
    const deviation = Math.sqrt(factors.reduce((total, x) => total + (x - mean) ** 2, 0) / (repeats - 1));
    // −ln of a share of n trials is too large by (1 − p) / (2 n p) on average, to first order
    const convexity = (1 - rate) / (2 * positions * rate) / -Math.log(rate);
    expect(Math.abs(mean / truth - 1)).toBeLessThan(1.5 * convexity + (4 * deviation) / truth / Math.sqrt(repeats));
  });
});

describe("loss probes", () => {
  test("every block is skipped once alone, kernels come in groups that cover every layer once", () => {
    const layers = 7;
    const probes = lossProbes(layers, DEFAULT_KERNELS);
    const skips = probes.filter(({ choice }) => choice === "skip");
    expect(skips).toHaveLength(2 * layers);
    for (const { choices } of skips) expect(choices.blocks.filter((c) => c === "skip")).toHaveLength(1);
    for (const kind of ["attn", "mlp"] as const) {
      const covered = probes.filter((p) => p.choice === "int8" && p.kind === kind).flatMap((p) => p.layers);
      expect(covered.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    }
    expect(probes.filter(({ kind }) => kind === "head").map(({ choices }) => choices.head)).toEqual(["int8"]);
  });

  test("a group's loss is shared equally by its members; the record is complete", () => {
    const probes = lossProbes(4, DEFAULT_KERNELS);
    const tallies = probes.map(({ choice, kind }) =>
      choice === "int8" && kind === "attn" ? tally(99, 100, 0.98) : tally(90, 100, 0.9),
    );
    const record = lossRecord(64, 4, probes, tallies);
    const factor = record.hits_per_overlap;
    const size = probes.find((p) => p.choice === "int8" && p.kind === "attn")?.layers.length ?? 0;
    expect(record.attn.int8?.[0].loss).toBeCloseTo((factor * -Math.log(0.98)) / size, 5);
    expect(record.mlp.skip?.[3].loss).toBeCloseTo(factor * -Math.log(0.9), 4);
    for (const list of [record.attn.int8, record.attn.skip, record.mlp.int8, record.mlp.skip])
      expect(list).toHaveLength(4);
    expect(record.positions).toBe(100);
  });
});

describe("short heads", () => {
  test("are probed on the target's own blocks; their hits are their loss, and tell the other losses nothing", () => {
    const probes = lossProbes(4, DEFAULT_KERNELS, [], ["int8:64", "target:32"]);
    expect(probes.filter(({ kind }) => kind === "head").map(({ choices }) => choices)).toEqual(
      (["int8", "int8:64", "target:32"] as const).map((head) => ({ ...targetChoices(4), head })),
    );
    const known = (hits: number, overlap: number) =>
      probes.map(({ choice }) => (choice.includes(":") ? tally(hits, 100, overlap) : tally(90, 100, 0.95)));
    const record = lossRecord(64, 4, probes, known(80, 0.6));
    expect(record.hits_per_overlap).toBeCloseTo(Math.log(0.9) / Math.log(0.95), 4);
    expect(record.head["int8:64"]?.loss).toBeCloseTo(-Math.log(0.8), 4);
    // of n trials the standard error of ln(hits/n) is √((1 − p) / (n p))
    expect(record.head["target:32"]?.standard_error).toBeCloseTo(Math.sqrt(0.2 / 0.8 / 100), 4);
    expect(lossRecord(64, 4, probes, known(30, 0.5)).attn).toEqual(record.attn);
    // sampled text: the overlap itself is the chance of acceptance
    expect(lossRecord(64, 4, probes, known(80, 0.6), 1, false).head["int8:64"]?.loss).toBeCloseTo(-Math.log(0.6), 4);
  });
});

describe("windows", () => {
  const text = Array.from({ length: 100 }, (_, i) => i);

  test("are all over the text; more of them are the same ones and others between", () => {
    const starts = (count: number) => spreadWindows(text, 10, count).map((window) => window[0]);
    expect(starts(4)).toEqual([0, 45, 23, 68]);
    for (let count = 1; count < 20; count++) expect(starts(20).slice(0, count)).toEqual(starts(count));
    const sorted = starts(16).sort((a, b) => a - b);
    const gaps = sorted.slice(1).map((start, i) => start - sorted[i]);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(6);
    expect(spreadWindows(text, 100, 5)).toEqual([text]);
    expect(spreadWindows(text, 101, 1)).toEqual([]);
  });

  test("keep what the tokenizer puts in front, and turn every second one into a chat", () => {
    const codec = {
      encode: (s: string) => [7, ...[...s].map((c) => c.charCodeAt(0))],
      decode: (ids: readonly number[]) => String.fromCharCode(...ids),
      chat: (content: string) => [1, ...[...content].map((c) => c.charCodeAt(0)), 2],
    };
    const prompts = makePrompts(["x".repeat(400)], codec, 100, 4);
    expect(prompts).toHaveLength(4);
    expect(prompts[0]).toHaveLength(100);
    expect(prompts[0][0]).toBe(7);
    expect(prompts[1][0]).toBe(1);
    expect(prompts[1].at(-1)).toBe(2);
    expect(prompts[1].length).toBeLessThanOrEqual(101);
    expect(makePrompts(["x".repeat(400)], { ...codec, chat: null }, 100, 2).every(([first]) => first === 7)).toBe(true);
  });

  test("come from every kind of text by turns, of each kind as chat and as text to go on with; a kind too short is passed by", () => {
    const plain = {
      encode: (s: string) => [...s].map((c) => c.charCodeAt(0)),
      decode: (ids: readonly number[]) => String.fromCharCode(...ids),
      chat: null,
    };
    const kinds = ["a", "b", "c"].map((letter) => letter.repeat(60));
    const letters = (prompts: number[][]) => prompts.map(([first]) => String.fromCharCode(first)).join("");
    expect(letters(makePrompts([...kinds, "short"], plain, 20, 7))).toBe("abcbcac");
    expect(makePrompts(["short"], plain, 20, 7)).toEqual([]);
    const chatting = { ...plain, chat: (content: string) => [0, ...plain.encode(content)] };
    const chats = makePrompts(kinds, chatting, 80, 12).map(() => false);
    expect(chats).toEqual([]); // 60 letters do not fill 80
    const long = kinds.map((kind) => kind.repeat(4));
    const asChat = makePrompts(long, chatting, 120, 12).map(([first]) => first === 0);
    for (let kind = 0; kind < 3; kind++)
      expect(new Set(asChat.filter((_, i) => (i + Math.floor(i / 3)) % 3 === kind)), `kind ${kind}`).toEqual(
        new Set([true, false]),
      );
  });
});

describe("how far a loss is measured", () => {
  const [KINDS, ROUND, TOKENS, LAYERS] = [3, 8, 32, 4];
  const skips = (choices: ChoiceSet) => choices.blocks.filter((choice) => choice === "skip").length;

  /** Six prompts continued; every skip misses as often as is said. @returns positions of the first block's probes */
  async function measured(missRate: number, kinds: number | null) {
    const spec = tinySpec({ layers: LAYERS, vocab: 50, context: 256, eosTokenIds: [] });
    const engine = new FakeEngine({
      ...{ spec, clock: new FakeClock(), times: EXACT_TIMES },
      missRate: (choices) => (skips(choices) > 0 ? missRate : 0),
    });
    const prompts = [1, 2, 3, 4, 5, 6].map((first) => [first, 9, 9]);
    async function* texts() {
      for (const prompt of prompts)
        yield* await continuePrompts(engine, new FakeClock(), [prompt], TOKENS, silentProgress);
    }
    const { probes, tallies } = await measureLosses(engine, texts(), ROUND, silentProgress, kinds);
    // the model that is none runs what begins with tokens, at the first block
    const first = (of: "skip" | "int8") => probes.findIndex(({ choices }) => choices.blocks[0] === of);
    const positions = (of: "skip" | "int8") => tallies[first(of)].positions;
    return { skip: positions("skip"), int8: positions("int8") };
  }

  test("skips that never miss: every second round of one prompt of each kind, and no more; kernels on everything", async () => {
    const { skip, int8 } = await measured(0, KINDS);
    expect(skip).toBe((KINDS * TOKENS) / 2);
    expect(int8).toBe(6 * TOKENS);
  });

  test("skips that are not known by then go on over whole prompts", async () => {
    const { skip } = await measured(0.2, KINDS);
    expect(skip).toBe((KINDS * TOKENS) / 2 + (6 - KINDS) * TOKENS);
  });

  test("a calibration takes the kinds of its text from its input, and says on how much all but skips were measured", async () => {
    const stage = async (kinds: number | undefined) => {
      const spec = tinySpec({ layers: LAYERS, vocab: 50, context: 256, eosTokenIds: [] });
      const clock = new FakeClock();
      const engine = new FakeEngine({ spec, clock, times: EXACT_TIMES, missRate: () => 0 });
      const { calibration } = await calibrate({
        ...{ engine, clock, progress: silentProgress, positions: 4 * TOKENS, continuationTokens: TOKENS },
        ...(kinds === undefined ? {} : { kinds }),
        model: { name: "fake", layers: LAYERS, architecture_sha256: "a".repeat(64), weights_sha256: "b".repeat(64) },
        text: { source: "bundled", sha256: "c".repeat(64) },
        prompts: [{ atContext: 3, choose: [1, 2, 3, 4].map((first) => [first, 9, 9]), report: [[7, 9, 9]] }],
      });
      expect(calibration.contexts[0].positions).toBe(4 * TOKENS);
      return engine.passes.length;
    };
    expect(await stage(4)).toBeLessThan(await stage(undefined));
  });

  test("where everything was asked for, so it is", async () => {
    expect((await measured(0, null)).skip).toBe(6 * TOKENS);
  });

  test.each([
    { name: "error of 0.0075 at least", overlaps: [0.985, 0.97], positions: 16, wanted: false },
    { name: "an error beyond it", overlaps: [0.93, 1], positions: 16, wanted: true },
    { name: "a tenth of a dear loss", overlaps: [0.6, 0.8], positions: 64, wanted: false },
    { name: "more than a tenth of a dear loss", overlaps: [0.5, 1], positions: 16, wanted: true },
  ])("$name ends it: $wanted", ({ overlaps, positions, wanted }) => {
    const tally = new Tally();
    for (let i = 0; i < positions; i++) tally.add([true], [overlaps[i % 2]]);
    const half = Math.abs(overlaps[1] - overlaps[0]) / 2;
    const mean = (overlaps[0] + overlaps[1]) / 2;
    const error = half / Math.sqrt(positions) / mean;
    expect(error > Math.max(0.0075, 0.1 * -Math.log(mean))).toBe(wanted);
    const [skip] = lossProbes(LAYERS, DEFAULT_KERNELS);
    expect(isWanted(skip, tally, KINDS, 0, KINDS)).toBe(wanted);
    expect(isWanted(skip, tally, KINDS, 0, null)).toBe(true);
  });

  test("neighbouring prompts begin with another round, so no kind is heard at its beginnings alone", () => {
    const [skip] = lossProbes(LAYERS, DEFAULT_KERNELS);
    const known = tally(90, 100, 0.9);
    const rounds = [0, 1, 2].map((text) => [0, 1, 2, 3].filter((round) => isWanted(skip, known, text, round, KINDS)));
    expect(rounds).toEqual([
      [0, 2],
      [1, 3],
      [0, 2],
    ]);
    expect(isWanted(skip, tally(1, 100, 0.5), 1, 1, null)).toBe(false); // ruinous
  });
});
