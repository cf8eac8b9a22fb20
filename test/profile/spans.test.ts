/** What spans cost: planted times are recovered, level beyond the span and the kernel's own before it. */
import { expect, test } from "vitest";
import { profileModel } from "../../src/profile/profile.js";
import { measureRefresh } from "../../src/profile/sweep/before.js";
import type { Engine } from "../../src/runtime/engine.js";
import { type AttentionKernel, everywhere, type SpannedKernel, uniformChoices } from "../../src/schema/choice.js";
import { openLatency } from "../../src/solve/latency.js";
import { profile as example } from "../support/example-documents.js";
import { type FakeModel, fakePassUs } from "../support/fake-engine.js";
import { planted, plantedTimes } from "./support.js";

const LAYERS = 6;
const SPANS: SpannedKernel[] = ["int8@1024", "int8@128"];
const CONTEXTS = [64, 512, 4096];
const SINKS = 4;

test("the costs of spans are those that were planted, and a draft of them is predicted as it runs", async () => {
  const times = plantedTimes(LAYERS, 0);
  const { engine, clock } = planted(LAYERS, times, 8192);
  const measured = await profileModel({
    ...{ engine, clock, contexts: CONTEXTS, queries: [1, 5], queryLine: [], seed: 3 },
    ...{ spans: SPANS, minRounds: 8, maxRounds: 8, draws: 2 },
  });
  const at = (n: number, choice: AttentionKernel) =>
    (measured.points.find((p) => p.context_tokens === n && p.query_tokens === 1)?.attn_us[choice] ?? [])[0];
  for (const n of CONTEXTS) {
    for (const [span, width] of [
      ["int8@1024", 1024],
      ["int8@128", 128],
    ] as const) {
      const read = Math.min(n, SINKS + width);
      const exact = times.blockUs({ layer: 0, kind: "attn" }, "int8", read, 1);
      expect(Math.abs(at(n, span) / exact - 1)).toBeLessThan(0.01);
    }
  }
  expect(measured.points.every(({ query_tokens: q, attn_us }) => q === 1 || attn_us["int8@128"] === undefined)).toBe(
    true,
  );
  expect(measured.points[0].resampled?.attn?.["int8@128"]).toHaveLength(2);

  const latency = openLatency({ ...example(), ...measured, model: { ...example().model, layers: LAYERS } });
  const model = { times } as FakeModel;
  const drafts = [everywhere(LAYERS, "int8@128"), everywhere(LAYERS, "int8@1024"), uniformChoices(LAYERS, "int8")];
  for (const choices of drafts) {
    // at profiled contexts and between them, where a span begins to matter
    for (const n of [64, 300, 512, 900, 1500, 4096]) {
      const exact = fakePassUs(model, { position: n, q: 1, rows: 1, choices });
      expect(Math.abs(latency.draftUs(choices, n) / exact - 1)).toBeLessThan(0.01);
    }
  }
});

test("what a layer's span adds to a round is what the engine takes where tokens were added", async () => {
  const { engine, clock } = planted(LAYERS, plantedTimes(LAYERS, 0), 8192);
  let written = 8192;
  // beside the step: 7 µs a layer for tokens that a span's cache does not have, and a slow spell now and then
  let steps = 0;
  const slow = Object.assign(Object.create(engine) as Engine, {
    keepRows: (position: number) => {
      written = Math.min(written, position);
    },
    run: (pass: Parameters<Engine["run"]>[0]) => {
      if (written < pass.position) clock.advance(7 * LAYERS);
      written = pass.position;
      if (++steps % 11 === 0) clock.advance(5000);
      return engine.run(pass);
    },
  });
  const bench = { engine: slow, clock, ids: [1, 2, 3], spans: SPANS };
  expect(await measureRefresh(bench, 4096)).toBeCloseTo(7, 6);
  expect(await measureRefresh({ ...bench, spans: [] }, 4096)).toBeNull();
  expect(await measureRefresh(bench, 100)).toBeNull(); // no span is shorter
  expect(await measureRefresh({ ...bench, engine }, 4096)).toBe(0);
});
