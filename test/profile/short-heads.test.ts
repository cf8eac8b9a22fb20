/** What short heads cost: planted times are recovered at every size, and drafts with them are predicted as they run. */
import { expect, test } from "vitest";
import { profileModel } from "../../src/profile/profile.js";
import {
  everywhere,
  type HeadKernel,
  isShort,
  kernelOf,
  type ShortKernel,
  shortOf,
  uniformChoices,
} from "../../src/schema/choice.js";
import { openLatency } from "../../src/solve/latency.js";
import { profile as example } from "../support/example-documents.js";
import { type FakeModel, type FakeTimes, fakePassUs } from "../support/fake-engine.js";
import { planted, plantedTimes } from "./support.js";

const LAYERS = 6;
const CONTEXTS = [64, 512];
const HEADS: ShortKernel[] = ["target:4096", "int8:8192", "int8:1024"];

/** a part that every call has, and one for each token */
const shortUs = (head: ShortKernel): number =>
  30 + (shortOf(head) as number) * (kernelOf(head) === "target" ? 0.06 : 0.02);

test("the costs of short heads are those that were planted, and a draft with one is predicted as it runs", async () => {
  const others = plantedTimes(LAYERS, 0);
  const times: FakeTimes = {
    ...others,
    headUs: (head: HeadKernel, rows) => (isShort(head) ? shortUs(head) : others.headUs(head, rows)),
  };
  const { engine, clock } = planted(LAYERS, times, 1024, undefined, HEADS);
  const measured = await profileModel({
    ...{ engine, clock, contexts: CONTEXTS, queries: [1, 5], queryLine: [], seed: 3 },
    ...{ minRounds: 8, maxRounds: 8, draws: 2 },
  });
  for (const { query_tokens, head_us, resampled } of measured.points)
    for (const head of HEADS) {
      if (query_tokens > 1)
        expect(head_us[head]).toBeUndefined(); // nothing but a draft step has one
      else {
        expect(Math.abs((head_us[head] as number) / shortUs(head) - 1)).toBeLessThan(0.02);
        expect(resampled?.head?.[head]).toHaveLength(2);
      }
    }
  const latency = openLatency({ ...example(), ...measured, model: { ...example().model, layers: LAYERS } });
  const model = { times } as FakeModel;
  for (const head of HEADS)
    for (const choices of [everywhere(LAYERS, head), { ...uniformChoices(LAYERS, "target"), head }])
      for (const n of [64, 300, 512]) {
        const exact = fakePassUs(model, { position: n, q: 1, rows: 1, choices });
        expect(Math.abs(latency.draftUs(choices, n) / exact - 1)).toBeLessThan(0.01);
      }
});
