/** Losses of spans: one pass stands for real drafting, wide spans lose what their kernel loses, layers are told apart. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { calibrate } from "../../src/calibrate/calibrate.js";
import { fillCache } from "../../src/calibrate/continuation.js";
import { draftPass } from "../../src/calibrate/draft-pass.js";
import { lossProbes } from "../../src/calibrate/losses.js";
import { silentProgress } from "../../src/core/progress.js";
import { draftChain } from "../../src/decode/drafters/self.js";
import { systemClock } from "../../src/runtime/device.js";
import type { Engine } from "../../src/runtime/engine.js";
import { everywhere, spanOf } from "../../src/schema/choice.js";
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
});
