/** What spans cost: planted times are recovered, level beyond the span and the kernel's own before it. */
import { expect, test } from "vitest";
import { profileModel } from "../../src/profile/profile.js";
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
