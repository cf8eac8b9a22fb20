/**
 * Every architecture and kind of rotary scaling against transformers and llama.cpp's converter (fixtures/architectures):
 * logits within 0.002 and greedy ids equal, from a folder and from a GGUF, by the engine and by the float64 twin.
 */
import { describe, expect, test } from "vitest";
import { decode } from "../../src/decode/loop.js";
import { expectedTensors } from "../../src/model/formats/tensors.js";
import { openCheckpoint } from "../../src/model/open.js";
import { ARCHITECTURES } from "../../src/model/spec.js";
import { systemClock } from "../../src/runtime/device.js";
import { loadModel } from "../../src/runtime/load.js";
import { targetChoices } from "../../src/schema/choice.js";
import { forward } from "../oracle/transformer.js";
import { greatestDifference } from "../runtime/support.js";
import { type ArchitectureCase, CASES, writeFolder, writeGguf } from "../support/architectures.js";
import { LONG } from "../support/long.js";

const WITHIN = 0.002;
/** the twin computes in float64, and transformers' angles are fp32 */
const TWIN_WITHIN = 5e-4;

const CPU = { provider: "cpu", threads: 1, capacity: 48 };

/** What llama.cpp's converter does not write down, so that llama.cpp computes something else; a reader cannot know. */
const NOT_IN_A_GGUF: Record<string, string> = {
  "smollm3, other layers, windows in them": "which layers; every fourth is taken for granted",
  "qwen2, yarn with every key": "truncate, mscale and mscale_all_dim",
  "llama, longrope": "the factors, outside phi3",
  "llama, llama3": "an original context other than 8192",
  "qwen2, windows from the second layer on": "windows",
  "mixtral, window, one of three": "its window",
  "qwen3moe, shares as they are, biases, tied": "norm_topk_prob; shares are taken to sum to 1",
  gemma2: "query_pre_attn_scalar; that of the published sizes is taken for granted",
  gemma3: "query_pre_attn_scalar; that of the published sizes is taken for granted",
};

const ARCHITECTURES_SEEN = CASES.map(({ name }) => name.split(",")[0]);

test.each(ARCHITECTURES.filter((name) => !["llama", "mistral", "qwen2", "qwen3"].includes(name)))(
  "%s is among them",
  (name) => expect(ARCHITECTURES_SEEN).toContain(name),
);

describe.each(CASES)("$name", (golden) => {
  const { gguf } = golden;

  test("from a folder: the twin", async () => {
    const checkpoint = await openCheckpoint(writeFolder(golden));
    const shapes = expectedTensors(checkpoint.spec);
    const twin = forward(checkpoint.spec, (name) => checkpoint.tensor(name, shapes.get(name) ?? []), golden.ids);
    checkpoint.close();
    for (const [position, row] of Object.entries(golden.logits))
      expect(greatestDifference(twin.logits[Number(position)], row)).toBeLessThan(TWIN_WITHIN);
  });

  // one of each architecture, and of each kind of positions; all of them at length
  const isFirst = !golden.name.includes(",") || /^llama, (linear|yarn)$/.test(golden.name);
  test.runIf(isFirst || LONG)("from a folder: the engine", () => expectGolden(golden, writeFolder(golden)));

  const lost = Object.hasOwn(NOT_IN_A_GGUF, golden.name);
  test.skipIf(lost)("from a GGUF it is the same model", async () => {
    const [folder, file] = [await openCheckpoint(writeFolder(golden)), await openCheckpoint(writeGguf(golden, gguf))];
    const { name: _tiny, bosTokenId: _bos, eosTokenIds: _eos, ...spec } = folder.spec;
    expect(file.spec).toMatchObject(spec);
    expect(file.architectureSha256).toBe(folder.architectureSha256);
    for (const [name, shape] of expectedTensors(folder.spec))
      expect(greatestDifference(file.tensor(name, shape), folder.tensor(name, shape))).toBe(0);
    for (const checkpoint of [folder, file]) checkpoint.close();
  });
});

async function expectGolden({ ids, logits, greedy }: ArchitectureCase, path: string): Promise<void> {
  const { engine, spec, close } = await loadModel(path, CPU);
  try {
    const { vocabSize, layers } = spec;
    const run = engine.run({ position: 0, input: ids, choices: targetChoices(layers), logitRows: ids.length });
    for (const [position, row] of Object.entries(logits)) {
      const at = Number(position);
      expect(greatestDifference(run.logits.subarray(at * vocabSize, (at + 1) * vocabSize), row)).toBeLessThan(WITHIN);
    }
    const options = { maxTokens: greedy.length, endTokens: [], policy: null, clock: systemClock };
    expect((await decode(engine, ids, options)).ids).toEqual(greedy);
  } finally {
    close();
  }
}
