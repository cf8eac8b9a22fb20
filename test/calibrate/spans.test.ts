/** Losses of spans: one pass stands for real drafting, wide spans lose what their kernel loses, layers are told apart. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { calibrate } from "../../src/calibrate/calibrate.js";
import { type Continuation, fillCache, spansBackwards, traceTarget } from "../../src/calibrate/continuation.js";
import { draftPass } from "../../src/calibrate/draft-pass.js";
import { type LossProbe, lossProbes, measureLosses, Tally } from "../../src/calibrate/losses.js";
import { spansTogether, togetherGroups } from "../../src/calibrate/together.js";
import { silentProgress } from "../../src/core/progress.js";
import { draftChain } from "../../src/decode/drafters/self.js";
import { systemClock } from "../../src/runtime/device.js";
import type { Engine } from "../../src/runtime/engine.js";
import { blockKind, everywhere, type SpannedKernel, spanOf, targetChoices } from "../../src/schema/choice.js";
import { openTiny, tokens } from "../runtime/support.js";

let engine: Engine;
beforeAll(async () => {
  engine = await openTiny({ seed: 21, headDim: 16, layers: 3, eosTokenIds: [] }, 200);
});
afterAll(() => engine.close());

test("what one pass over accepted text shows is what drafting shows up to the first miss", async () => {
  const prompt = tokens(1, 60);
  const choices = everywhere(3, "target@16");
  // a text on which the draft is often right: its own drafts, and now and then another token
  let misses = 0;
  for (let trial = 0; trial < 6; trial++) {
    const seed = tokens(40 + trial, 30);
    const before = { prompt, ids: seed };
    await fillCache(engine, before, silentProgress);
    const from = 8;
    const drafted = draftChain(engine, prompt.length + from, seed[from], choices, 8).tokens;
    const ids = [...seed.slice(0, from + 1), ...drafted.slice(0, 3 + trial), ...tokens(90 + trial, 8)];
    const continuation = { prompt, ids };
    await fillCache(engine, continuation, silentProgress);
    const { hits } = draftPass(engine, continuation, { from, count: 8 }, choices, null);
    await fillCache(engine, continuation, silentProgress);
    const real = draftChain(engine, prompt.length + from, ids[from], choices, 8).tokens;
    const miss = real.findIndex((token, i) => token !== ids[from + 1 + i]);
    if (miss !== -1) misses++;
    expect(hits.slice(0, miss === -1 ? 8 : miss + 1)).toEqual(
      real.slice(0, miss === -1 ? 8 : miss + 1).map((token, i) => token === ids[from + 1 + i]),
    );
  }
  expect(misses).toBeGreaterThan(0);
});

test("every layer is probed at every span, and MLPs and the head at none", () => {
  const probes = lossProbes(3, ["target", "int8"], ["target@64", "int8@16"]).filter(
    ({ choice }) => spanOf(choice) !== null,
  );
  expect(probes.map(({ choice, kind, layers }) => [choice, kind, ...layers])).toEqual([
    ...[0, 1, 2].map((layer) => ["target@64", "attn", layer]),
    ...[0, 1, 2].map((layer) => ["int8@16", "attn", layer]),
  ]);
});

test("a span that reads all of the context loses what its kernel loses, and a shorter one more than nothing", async () => {
  const prompts = [{ atContext: 60, choose: [tokens(2, 60), tokens(3, 60)], report: [] }];
  const { calibration } = await calibrate({
    ...{ engine, clock: systemClock, prompts, continuationTokens: 24, progress: silentProgress },
    ...{ model: { name: "tiny", layers: 3, architecture_sha256: "a".repeat(64), weights_sha256: "b".repeat(64) } },
    ...{ text: { source: "none", sha256: "c".repeat(64) }, spans: ["target@16", "target@64", "int8@64"] },
  });
  const [{ attn }] = calibration.contexts;
  expect(attn["target@64"]).toEqual([0, 1, 2].map(() => ({ loss: 0, standard_error: 0 })));
  expect(attn["int8@64"]).toEqual(attn.int8);
  const losses = (attn["target@16"] ?? []).map(({ loss }) => loss);
  expect(losses.every((loss) => loss > 0)).toBe(true);
  expect(new Set(losses).size).toBe(3);
  // of the spans that read less than the context alone
  expect(Object.keys(calibration.contexts[0].together ?? {})).toEqual(["target@16"]);
  expect(calibration.contexts[0].together?.["target@16"]?.drafts.map(({ layers }) => layers)).toEqual([2, 2, 2, 3]);
});

test("layers are measured together in pairs of neighbours from end to end, by halves and all, each group once", () => {
  const groups = togetherGroups(30);
  expect(groups.slice(0, 4)).toEqual([
    [0, 1],
    [9, 10],
    [19, 20],
    [28, 29],
  ]);
  expect(groups.slice(4).map(({ length }) => length)).toEqual([15, 15, 30]);
  expect([...groups[4], ...groups[5]].sort((a, b) => a - b)).toEqual(groups[6]);
  expect(togetherGroups(3)).toEqual([
    [0, 1],
    [1, 2],
    [0, 2],
    [0, 1, 2],
  ]);
  expect(togetherGroups(2)).toEqual([[0, 1]]);
  expect(togetherGroups(1)).toEqual([]);
});

test("the factor of a span is what its large drafts lose over the sums of their layers", () => {
  const span: SpannedKernel = "int8@64";
  const tally = (overlap: number) => {
    const made = new Tally();
    made.add([true, true], [overlap, overlap]);
    return made;
  };
  const probe = (layers: number[]): LossProbe => ({ choice: span, kind: "attn", layers, choices: targetChoices(4) });
  const single = { probes: [0, 1, 2, 3].map((layer) => probe([layer])), tallies: [0.9, 0.8, 0.9, 0.8].map(tally) };
  const groups = {
    probes: [
      [0, 1],
      [0, 2],
      [1, 3],
      [0, 1, 2, 3],
    ].map(probe),
    tallies: [0.7, 0.85, 0.75, 0.6].map(tally),
  };
  const found = spansTogether(single, groups, 2)[span];
  const [a, b] = [-Math.log(0.9), -Math.log(0.8)];
  // every group of two or more of four is at least half of the layers
  const lost = -Math.log(0.7) - Math.log(0.85) - Math.log(0.75) - Math.log(0.6);
  expect(found?.factor).toBeCloseTo(lost / (a + b + 2 * a + 2 * b + 2 * a + 2 * b), 4);
  expect(found?.drafts[3]).toMatchObject({ layers: 4, standard_error: 0 });
  expect(found?.drafts[3].summed).toBeCloseTo(2 * (2 * a + 2 * b), 4);
  expect(found?.drafts[3].loss).toBeCloseTo(-2 * Math.log(0.6), 4);
  const none = { probes: single.probes, tallies: single.tallies.map(() => tally(1)) };
  expect(spansTogether(none, groups, 2)[span]?.factor).toBe(1); // no single layer loses anything: nothing to scale
  const free = { probes: groups.probes, tallies: groups.tallies.map(() => tally(1)) };
  expect(spansTogether(single, free, 2)[span]?.factor).toBe(0.05);
});

test("a group's loss is that of the draft in which all of its layers have the span", async () => {
  const continuation: Continuation = { prompt: tokens(7, 60), ids: tokens(8, 25) };
  async function* once() {
    await fillCache(engine, continuation, silentProgress);
    yield continuation;
  }
  const { together } = await measureLosses(engine, once(), 8, silentProgress, null, ["target@16"]);
  expect(together.probes.map(({ layers }) => layers)).toEqual(togetherGroups(3));
  await fillCache(engine, continuation, silentProgress);
  const trace = await traceTarget(engine, continuation, silentProgress);
  const { blocks, head } = targetChoices(3);
  const all = blocks.map((own, index) => (blockKind(index) === "attn" ? ("target@16" as const) : own));
  const overlaps = spansBackwards(continuation, 8).flatMap(
    (round) => draftPass(engine, continuation, round, { blocks: all, head }, trace).overlaps,
  );
  const mean = overlaps.reduce((sum, one) => sum + one, 0) / overlaps.length;
  expect(mean).toBeLessThan(1);
  expect(together.tallies[3].meanOverlap).toBeCloseTo(mean, 10);
});
