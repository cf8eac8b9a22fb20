/** `draftplan evaluate` against transformers with the same blocks skipped, every position over the full model's cache. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { evaluateDraft } from "../../src/calibrate/evaluate.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { expandDraft } from "../../src/schema/choice.js";
import { skipping } from "../support/plans.js";
import { golden, readJson, SMOLLM2, unlessMissing } from "../support/shared.js";

interface SkipCase {
  ids: number[];
  first: number;
  skip: string[];
  target_top1: number[];
  draft_top1: number[];
  acceptance: number;
  mean_cosine: number;
}

const GOLDEN = golden("smollm2.json");
const smollm2 = unlessMissing("SmolLM2-135M with blocks skipped", SMOLLM2, GOLDEN);
describe.skipIf(smollm2.skip)(smollm2.title, () => {
  let model: LoadedModel;
  beforeAll(async () => {
    model = await loadModel(SMOLLM2, { provider: "cpu", threads: 2, capacity: 256 });
  });
  afterAll(() => model?.close());

  test.each(smollm2.skip ? [] : readJson<{ skip: SkipCase[] }>(GOLDEN).skip)("$skip", async (expected) => {
    const choices = expandDraft(skipping(...expected.skip), model.spec.layers, "--skip");
    const found = await evaluateDraft(model.engine, expected.ids, expected.first, () => choices);
    expect(found.targetTop1).toEqual(expected.target_top1);
    const different = found.draftTop1.filter((token, i) => token !== expected.draft_top1[i]).length;
    expect(different).toBeLessThanOrEqual(2); // none on AVX-512; elsewhere a near tie may fall the other way
    expect(Math.abs(found.acceptance - expected.acceptance)).toBeLessThan(0.02);
    expect(Math.abs(found.meanCosine - expected.mean_cosine)).toBeLessThan(0.005);
  });
});
