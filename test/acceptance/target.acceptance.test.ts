/** `--target int8` on SmolLM2: two thousand tokens of its own text, in passes of one and of several, and drafts beside it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { decode } from "../../src/decode/loop.js";
import { acceptanceOf } from "../../src/decode/statistics.js";
import { bundledPrompts } from "../../src/pipeline/text/prompts.js";
import { systemClock } from "../../src/runtime/device.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { type Choice, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { TIE_MARGINS } from "../../src/schema/verification.js";
import { openTokenizer } from "../../src/tokenizer/open.js";
import { judge } from "../../src/verify/judge.js";
import { greedyOutput } from "../../src/verify/target-passes.js";
import { independentRounding, passNoise } from "../support/pass-noise.js";
import { SMOLLM2, unlessMissing } from "../support/shared.js";

const { skip, title } = unlessMissing("SmolLM2 in int8", SMOLLM2);
const TOKENS = 2000;

describe.skipIf(skip)(title, () => {
  let model: LoadedModel;
  let prompts: readonly (readonly number[])[];
  beforeAll(async () => {
    model = await loadModel(SMOLLM2, { provider: "cpu", threads: 2, capacity: 1024, targetPrecision: "int8" });
    const tokenizer = await openTokenizer(SMOLLM2);
    prompts = (await bundledPrompts(async () => tokenizer)).map(({ ids }) => ids).filter(({ length }) => length < 256);
  });
  afterAll(() => model?.close());

  test(`the tie margin holds over ${TOKENS} tokens, and passes differ by less than independent rounding`, () => {
    const each = Math.ceil(TOKENS / prompts.length / 6) * 6;
    const found = prompts.map((prompt) => passNoise(model.engine, prompt, each, 6));
    const all = (of: "noise" | "margins" | "gaps") => found.flatMap((one) => one[of]);
    const spread = found.reduce((sum, one) => sum + one.spread, 0) / found.length;
    const mean = (values: number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
    const [noise, margins, gaps] = [all("noise"), all("margins"), all("gaps")];
    expect(noise.length).toBeGreaterThanOrEqual(TOKENS);
    console.log({
      ...{ tokens: noise.length, spread, noise: mean(noise), worstNoise: Math.max(...noise) },
      ...{ ties: margins.filter((x) => x > 0).length, worstMargin: Math.max(...margins) },
      withinMargin: gaps.filter((gap) => gap < TIE_MARGINS.int8 / 2).length / gaps.length,
    });
    expect(mean(noise) / spread).toBeLessThan(independentRounding(model.spec.layers));
    expect(Math.max(...margins)).toBeLessThan(TIE_MARGINS.int8);
  });

  test("drafts in int4 and with blocks left out give its own plain decoding, up to ties", async () => {
    const { engine, spec } = model;
    const skipped: Choice[] = targetChoices(spec.layers).blocks.map((_, i) =>
      [21, 34, 45].includes(i) ? "skip" : "target",
    );
    const limits = { maxTokens: 64, endTokens: spec.eosTokenIds };
    for (const prompt of prompts.slice(0, 6)) {
      const reference = await greedyOutput(engine, prompt, targetChoices(spec.layers), limits, silentProgress);
      for (const choices of [uniformChoices(spec.layers, "int4"), { blocks: skipped, head: "target" as const }]) {
        const options = { ...limits, clock: systemClock, policy: () => ({ choices, draftTokens: 5 }) };
        const { ids, rounds } = await decode(engine, prompt, options);
        expect(acceptanceOf(rounds).accepted).toBeGreaterThan(0);
        expect(await judge(engine, prompt, ids, reference, limits, silentProgress)).toMatchObject({
          firstMismatch: null,
        });
      }
    }
  });
});
