/**
 * A kernel is one file and one line: the list with one line more is put in the list's place, and nothing else is touched.
 * The file is the one that CONTRIBUTING.md shows.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { decode } from "../../src/decode/loop.js";
import { acceptanceOf } from "../../src/decode/statistics.js";
import { weightBytes } from "../../src/model/graph/matrices.js";
import { systemClock } from "../../src/runtime/device.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import {
  CHOICES,
  describeChoices,
  KERNEL_NAMES,
  type Kernel,
  targetChoices,
  uniformChoices,
} from "../../src/schema/choice.js";
import { DraftSchema, numericsOf } from "../../src/schema/common.js";
import { forward } from "../oracle/transformer.js";
import { greatestDifference } from "../runtime/support.js";
import { temporaryFolder, tinySpec, tinyTensors, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

vi.mock("../../src/model/kernels/list.js", async (original) => {
  const lists = await original<typeof import("../../src/model/kernels/list.js")>();
  const { bf16 } = await import("../support/toys/bf16.js");
  return { ...lists, DRAFT_KERNELS: [...lists.DRAFT_KERNELS, bf16] };
});

const BF16 = "bf16" as Kernel;
const MODEL = { layers: 3, headDim: 16, seed: 21, tied: false, attentionBias: true, eosTokenIds: [] };
const LAYERS = MODEL.layers;
const TEXT = [5, 9, 23, 40, 7, 12, 3];
const CPU = { provider: "cpu", threads: 1 };

/** Eight significant bits, by division and not by bits. */
function toBf16(value: number): number {
  if (value === 0) return 0;
  const step = 2 ** (Math.floor(Math.log2(Math.abs(value))) - 7);
  return Math.round(value / step) * step;
}

const folder = writeTinyCheckpoint(temporaryFolder(), MODEL);
const logitsOf = ({ engine }: LoadedModel, choices = targetChoices(LAYERS)): Float32Array =>
  engine.run({ position: 0, input: TEXT, choices, logitRows: TEXT.length }).logits.slice();

describe("a kernel more", () => {
  let model: LoadedModel;
  beforeAll(async () => {
    model = await loadModel(folder, { ...CPU, kernels: ["target", BF16] });
  });
  afterAll(() => model?.close());

  test("is the file that CONTRIBUTING.md shows", () => {
    const text = (path: string) => readFileSync(fileURLToPath(new URL(path, import.meta.url)), "utf8");
    const file = text("../support/toys/bf16.ts").replaceAll("../../../src/model/kernels/", "./");
    expect(text("../../CONTRIBUTING.md")).toContain(file.trim());
  });

  test("has its name wherever a choice is named", () => {
    expect(KERNEL_NAMES).toEqual(["target", "int8", "int4", "int2", "bf16"]);
    expect(CHOICES.at(-1)).toBe("skip");
    expect(DraftSchema.parse({ default: "bf16", head: "bf16", skip: [], choices: { "0.mlp": "skip" } })).toBeDefined();
    expect(() => DraftSchema.parse({ default: "bf17", head: "bf16", skip: [], choices: {} })).toThrow();
    expect(describeChoices(uniformChoices(LAYERS, BF16))).toBe("bf16 6, head bf16");
    expect(numericsOf(["target", BF16])).toEqual({ target: "fp32", bf16: "fp32, weights rounded to bf16" });
    const { attn, head } = weightBytes(tinySpec(MODEL), ["target", BF16]);
    expect([attn[BF16], head[BF16]]).toEqual([attn.target, head.target]);
  });

  test("computes in the graph what the float64 twin does with rounded matrices", () => {
    const tensors = tinyTensors(MODEL);
    const rounded = (name: string) => {
      const { shape, values } = tensors.get(name) as { shape: readonly number[]; values: Float32Array };
      return shape.length === 2 && name !== "model.embed_tokens.weight" ? values.map(toBf16) : values;
    };
    const expected = forward(tinySpec(MODEL), rounded, TEXT).logits.flat();
    const actual = logitsOf(model, uniformChoices(LAYERS, BF16));
    expect(greatestDifference(actual, expected)).toBeLessThan(2e-4);
    expect(greatestDifference(logitsOf(model), expected)).toBeGreaterThan(2e-3); // the target's are others
  });

  test("drafts, and the tokens stay the target's", async () => {
    const options = { maxTokens: 40, endTokens: [], clock: systemClock };
    const plain = await decode(model.engine, TEXT, { ...options, policy: null });
    const choices = uniformChoices(LAYERS, BF16);
    const drafted = await decode(model.engine, TEXT, { ...options, policy: () => ({ choices, draftTokens: 4 }) });
    expect(drafted.ids).toEqual(plain.ids);
    expect(acceptanceOf(drafted.rounds).accepted).toBeGreaterThan(10);
  });
});
