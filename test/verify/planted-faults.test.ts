/** Real passes: every fault planted in a decoder is caught, on random models and on the embedded one. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decode } from "../../src/decode/loop.js";
import { systemClock } from "../../src/runtime/device.js";
import { argmax, type Engine } from "../../src/runtime/engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { targetChoices } from "../../src/schema/choice.js";
import type { Plan } from "../../src/schema/plan.js";
import { type VerifyPrompt, verifyPlan } from "../../src/verify/index.js";
import { naiveGreedy } from "../oracle/naive-greedy.js";
import { LONG } from "../support/long.js";
import { handPlan, skipping } from "../support/plans.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { FAULTS, faultyDecode } from "./faulty-decoders.js";

const TOKENS = 40;
/** of the embedded model, whose passes take a hundred times as long */
const FEW_TOKENS = LONG ? TOKENS : 16;
/** Faults of a decoder are the same on every model; one sees them all, and the others are spared most of them. */
const SAMPLE: readonly (typeof FAULTS)[number][] = ["accept-all", "stale cache", "wrong rollback"];
const CPU = { provider: "cpu", threads: 1, capacity: 256 };

interface Subject {
  name: string;
  open(): Promise<LoadedModel>;
  /** left out by the draft: so much that it is often rejected */
  skip: string[];
  prompts: VerifyPrompt[];
  faults: readonly (typeof FAULTS)[number][];
  tokens: number;
}

const tiny = (architecture: "llama" | "qwen3", seed: number, faults: Subject["faults"]) => ({
  name: `a random ${architecture}`,
  open: () => {
    const model = { architecture, layers: 4, headDim: 16, seed, eosTokenIds: [] };
    return loadModel(writeTinyCheckpoint(temporaryFolder(), model), CPU);
  },
  skip: ["1.attn", "1.mlp", "2.attn"],
  prompts: [
    { name: "short", ids: [5, 9, 23, 40, 7] },
    { name: "longer", ids: Array.from({ length: 30 }, (_, i) => (i * 13 + 3) % 64) },
  ],
  faults,
  tokens: TOKENS,
});

const subjects: Subject[] = [
  tiny("llama", 11, FAULTS),
  tiny("qwen3", 5, LONG ? FAULTS : SAMPLE),
  {
    name: "the embedded model",
    open: () => loadModel("embedded", CPU),
    skip: ["3.attn", "3.mlp", "4.mlp", "5.attn", "5.mlp", "6.mlp", "7.attn", "7.mlp", "8.attn", "9.attn"],
    prompts: [{ name: "ids", ids: [0, 2819, 506, 268] }],
    faults: LONG ? FAULTS : SAMPLE,
    tokens: FEW_TOKENS,
  },
];

describe.each(subjects)("on $name", ({ open, skip, prompts, faults, tokens }) => {
  let model: LoadedModel;
  let plan: Plan;
  /** [prompts] the target's output by whole passes from position 0, without a cache */
  let naive: number[][];

  beforeAll(async () => {
    model = await open();
    const { engine, ref, spec } = model;
    const digests = { architectureSha256: ref.architecture_sha256, weightsSha256: ref.weights_sha256 };
    plan = handPlan({ name: spec.name, layers: spec.layers, ...digests, draft: skipping(...skip), draftTokens: 4 });
    naive = prompts.map(({ ids }) => naiveGreedy((text) => nextToken(engine, text), [...ids], tokens));
  });
  afterAll(() => model?.close());

  const verify = (decoder: typeof decode) =>
    verifyPlan({
      ...{ engine: model.engine, clock: systemClock, plan, planPath: "plan.yaml", prompts, decode: decoder },
      ...{ maxTokens: tokens, endTokens: [], pairs: 1 },
    });

  test("without a fault the output is the target's own, though drafts are rejected", async () => {
    for (const decoder of [decode, faultyDecode("none")]) {
      const { lossless, output_sha256, reference_sha256 } = await verify(decoder);
      expect({ lossless, output: output_sha256 }).toEqual({ lossless: true, output: reference_sha256 });
    }
    const { by_position } = await verify(decode);
    const [{ tried, accepted }] = by_position ?? [];
    expect(accepted).toBeGreaterThan(0);
    expect(accepted).toBeLessThan(0.9 * tried);
  });

  test.each(faults)("%s is caught, and the reference stays the target's own", async (fault) => {
    const result = await verify(faultyDecode(fault));
    expect(result.lossless).toBe(false);
    expect(result.prompts.some(({ first_mismatch }) => first_mismatch !== null)).toBe(true);
    expect(result.prompts.map(({ reference_ids }) => reference_ids)).toEqual(naive);
    for (const { first_mismatch, output_ids, reference_ids } of result.prompts)
      if (first_mismatch !== null) expect(output_ids).not.toEqual(reference_ids);
  });
});

function nextToken(engine: Engine, text: readonly number[]): number {
  const choices = targetChoices(engine.spec.layers);
  return argmax(engine.run({ position: 0, input: text, choices, logitRows: 1 }).logits, 0, engine.spec.vocabSize);
}
