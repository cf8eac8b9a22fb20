/** The two decoders that are written for engines, run by ONNX Runtime beside our own engine on the same tiny models. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DECODER_FILES, decoderWeightBytes, writeDecoders } from "../../src/model/decoders.js";
import { CPU_DIALECT } from "../../src/model/graph/dialect.js";
import { storedHeadDim } from "../../src/model/graph/heads.js";
import type { ModelSpec } from "../../src/model/spec.js";
import { type ChoiceSet, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { greatestDifference, MODELS, openTiny, randomChoices, tinyWeights, tokens } from "../runtime/support.js";
import { type GraphSession, integers, openGraph, type Tensor, zeros } from "../support/graph-session.js";
import { type TinyModel, temporaryFolder, tinySpec } from "../support/tiny-checkpoint.js";

const TOLERANCE = 1e-4;
const TEXT = 21;
/** a prompt, a step, a verification, two steps */
const PASSES = [13, 1, 5, 1, 1];

async function write(model: TinyModel, draft: ChoiceSet | null): Promise<string> {
  const weights = tinyWeights(model);
  const folder = temporaryFolder();
  await writeDecoders((name) => join(folder, name), weights, draft && { choices: draft }, CPU_DIALECT);
  const { size } = statSync(join(folder, DECODER_FILES.weights));
  expect(decoderWeightBytes(weights, draft, CPU_DIALECT)).toBe(size);
  return folder;
}

const attending = ({ blocks }: ChoiceSet) => blocks.filter((choice, i) => i % 2 === 0 && choice !== "skip").length;

/**
 * Logits of every pass, as an engine runs it.
 * @param capacity of one buffer for past and present; null: each pass makes longer ones
 */
function* decode(
  session: GraphSession,
  spec: ModelSpec,
  caches: number,
  ids: readonly number[],
  rows: "every" | "last",
  capacity: number | null,
): Generator<Float32Array> {
  const cache = (length: number) => zeros([1, spec.kvHeads, capacity ?? length, storedHeadDim(spec)]);
  const names = (side: string) =>
    Array.from({ length: caches }, (_, i) => [`${side}.${i}.key`, `${side}.${i}.value`]).flat();
  let past = names("").map(() => cache(0));
  let position = 0;
  for (const count of PASSES) {
    const total = position + count;
    const present = capacity === null ? past.map(() => cache(total)) : past;
    const logits = zeros([1, rows === "every" ? count : 1, spec.vocabSize]);
    const named = (side: string, tensors: Tensor[]) =>
      Object.fromEntries(names(side).map((name, i) => [name, tensors[i]]));
    session.run(
      {
        input_ids: integers(ids.slice(position, total)),
        attention_mask: integers(new Array<number>(total).fill(1)),
        ...named("past_key_values", past),
      },
      { logits, ...named("present", present) },
    );
    yield logits.data as Float32Array;
    past = present;
    position = total;
  }
}

async function expectEqualToEngine(model: TinyModel, draft: ChoiceSet, capacity: number | null): Promise<void> {
  const spec = tinySpec(model);
  const folder = await write(model, draft);
  const engine = await openTiny(model);
  try {
    for (const [file, choices, rows] of [
      [DECODER_FILES.target, targetChoices(spec.layers), "every"],
      [DECODER_FILES.draft, draft, "last"],
    ] as const) {
      const session = openGraph(join(folder, file));
      try {
        const ids = tokens(17, TEXT);
        let position = 0;
        const passes = decode(session, spec, attending(choices), ids, rows, capacity);
        for (const count of PASSES) {
          const logitRows = rows === "every" ? count : 1;
          const input = ids.slice(position, position + count);
          const expected = engine.run({ position, input, choices, logitRows }).logits;
          const actual = passes.next().value as Float32Array;
          expect(actual.length).toBe(expected.length);
          expect(greatestDifference(actual, expected), `${file} at ${position}`).toBeLessThanOrEqual(TOLERANCE);
          position += count;
        }
      } finally {
        session.close();
      }
    }
  } finally {
    engine.close();
  }
}

describe.each(MODELS)("%s", (_name, model) => {
  const { layers } = tinySpec(model);

  test("target, and drafts of skipped and quantised blocks, give the engine's logits", async () => {
    const mixed = { ...randomChoices(5, layers, ["target", "skip", "int8", "int4"]), head: "int8" } as ChoiceSet;
    await expectEqualToEngine(model, mixed, null);
  });
});

const THREE: TinyModel = { seed: 21, layers: 3, headDim: 16 };

test.each<[string, ChoiceSet]>([
  ["the first attention is skipped", { blocks: ["skip", "int8", "target", "skip", "int4", "target"], head: "int4" }],
  ["only attention is left", { blocks: ["int8", "skip", "int8", "skip", "int8", "skip"], head: "int8" }],
  ["no attention is left", { blocks: ["skip", "int8", "skip", "target", "skip", "skip"], head: "target" }],
  ["nothing but the head is left", uniformChoices(3, "skip")],
  ["everything runs", uniformChoices(3, "int4")],
])("a draft where %s, past and present in one buffer", async (_name, draft) => {
  await expectEqualToEngine(THREE, draft, 64);
});

const pages = (bytes: number): number => Math.ceil(bytes / 4096) * 4096;

test("weights that both read lie in the file once, and of a quantised block only what is run", async () => {
  const model: TinyModel = { seed: 3, layers: 2, hidden: 64, intermediate: 256, vocab: 512, headDim: 16 };
  const size = async (draft: ChoiceSet | null) => statSync(join(await write(model, draft), DECODER_FILES.weights)).size;
  const alone = await size(null);
  const layer = [64, 64 * 128, 64 * 64, 64, 64 * 512, 64 * 256]; // norm, q k v, out, norm, gate and up, down
  const floats = [512 * 64, 256 * 8, 256 * 8, ...layer, ...layer, 64]; // table and tied head, rotation, layers, norm
  expect(alone).toBe(floats.reduce((bytes, count) => bytes + pages(4 * count), 0));
  expect(await size(targetChoices(2))).toBe(alone);
  expect(await size({ blocks: ["skip", "target", "target", "skip"], head: "target" })).toBe(alone);
  // down [64, 256] and gate_up [512, 64] in 4 bits with an fp32 scale a block of 32: (16 + 4) / 32 bytes a weight, by pages
  const quantised = [64 * 256, 512 * 64].map((weights) => pages(weights / 2) + pages(weights / 8));
  expect(await size({ blocks: ["target", "int4", "target", "skip"], head: "target" })).toBe(
    alone + quantised[0] + quantised[1],
  );
});

test("every matrix is asked for where it lies, so that threads can make a large model's", async () => {
  const weights = tinyWeights({ seed: 3, layers: 2, hidden: 64, headDim: 16 });
  const asked = new Set<string>();
  const origin = (name: string) => {
    asked.add(name);
    return null;
  };
  const folder = temporaryFolder();
  await writeDecoders(
    (name) => join(folder, name),
    { ...weights, origin },
    { choices: uniformChoices(2, "int8") },
    CPU_DIALECT,
  );
  const matrices = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"].concat(
    ...["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"],
  );
  for (const layer of [0, 1])
    for (const name of matrices) expect(asked).toContain(`model.layers.${layer}.${name}.weight`);
});

test("without a draft there is no draft's file", async () => {
  const folder = await write({ seed: 1 }, null);
  expect(existsSync(join(folder, DECODER_FILES.draft))).toBe(false);
  expect(readFileSync(join(folder, DECODER_FILES.target)).length).toBeGreaterThan(0);
});
