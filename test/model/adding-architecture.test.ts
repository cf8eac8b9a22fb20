/**
 * An architecture is one file and one line: the list with one line more is put in the list's place, and nothing else is
 * touched. The file is the one that CONTRIBUTING.md shows.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test, vi } from "vitest";
import { decode } from "../../src/decode/loop.js";
import { openCheckpoint, openConfigOnly } from "../../src/model/open.js";
import { ARCHITECTURES } from "../../src/model/spec.js";
import { systemClock } from "../../src/runtime/device.js";
import { loadModel } from "../../src/runtime/load.js";
import { targetChoices } from "../../src/schema/choice.js";
import { expectFailure } from "../support/failure.js";
import { safetensorsBytes } from "../support/safetensors-bytes.js";
import {
  temporaryFolder,
  tinyConfig,
  tinySpec,
  tinyTensors,
  writeTinyCheckpoint,
  writeTinyGguf,
} from "../support/tiny-checkpoint.js";

vi.mock("../../src/model/architectures/list.js", async (original) => {
  const { ARCHITECTURE_LIST } = await original<typeof import("../../src/model/architectures/list.js")>();
  const { wren } = await import("../support/toys/wren.js");
  return { ARCHITECTURE_LIST: [...ARCHITECTURE_LIST, wren] };
});

const MODEL = { layers: 3, headDim: 16, seed: 31, tied: false, eosTokenIds: [] };
const TEXT = [5, 9, 23, 40, 7, 12, 3];
const CPU = { provider: "cpu", threads: 1 };

/** Canonical name -> the toy's, written down here a second time. */
function toyName(canonical: string): string {
  const parts: [RegExp, string][] = [
    [/^model\.embed_tokens\./, "transformer.wte."],
    [/^model\.norm\./, "transformer.ln_f."],
    [/^lm_head\./, "output."],
    [/^model\.layers\.(\d+)\./, "transformer.h.$1."],
    [/input_layernorm/, "ln_1"],
    [/post_attention_layernorm/, "ln_2"],
    [/self_attn\.(.)_proj/, "attn.w$1"],
    [/mlp\.gate_proj/, "ffn.w1"],
    [/mlp\.down_proj/, "ffn.w2"],
    [/mlp\.up_proj/, "ffn.w3"],
  ];
  return parts.reduce((name, [pattern, other]) => name.replace(pattern, other), canonical);
}

/** @param extra tensors that are there besides, under the names given */
function writeToy(extra: Record<string, readonly number[]> = {}, config: Record<string, unknown> = {}): string {
  const folder = temporaryFolder();
  const names = { architectures: ["WrenForCausalLM"], model_type: "wren" };
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...tinyConfig(MODEL), ...names, ...config }));
  const bytesOf = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const tensors = [...tinyTensors(MODEL)].map(
    ([name, { shape, values }]) => [toyName(name), { dtype: "F32", shape, bytes: bytesOf(values) }] as const,
  );
  const more = Object.entries(extra).map(
    ([name, shape]) =>
      [name, { dtype: "F32", shape, bytes: new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)) }] as const,
  );
  writeFileSync(join(folder, "model.safetensors"), safetensorsBytes(new Map([...tensors, ...more])));
  return folder;
}

describe("an architecture more", () => {
  test("is the file that CONTRIBUTING.md shows", () => {
    const text = (path: string) => readFileSync(fileURLToPath(new URL(path, import.meta.url)), "utf8");
    const file = text("../support/toys/wren.ts").replaceAll("../../../src/model/architectures/", "./");
    expect(text("../../CONTRIBUTING.md")).toContain(file.trim());
  });

  test("is read from its config.json, with its own defaults", () => {
    expect(ARCHITECTURES).toContain("wren");
    const config = join(writeToy({}, { max_position_embeddings: undefined, attention_bias: true }), "config.json");
    const { name: _ours, ...spec } = openConfigOnly(config);
    const { name: _tiny, ...llama } = tinySpec(MODEL);
    expect(spec).toEqual({ ...llama, architecture: "wren", contextLimit: 4096 });
  });

  test("gives the logits and tokens of its twin in llama's names, number for number", async () => {
    const [toy, twin] = [
      await loadModel(writeToy(), CPU),
      await loadModel(writeTinyCheckpoint(temporaryFolder(), MODEL), CPU),
    ];
    const pass = { position: 0, input: TEXT, choices: targetChoices(MODEL.layers), logitRows: TEXT.length };
    expect(toy.engine.run(pass).logits).toEqual(twin.engine.run(pass).logits);
    const options = { maxTokens: 20, endTokens: [], policy: null, clock: systemClock };
    expect((await decode(toy.engine, TEXT, options)).ids).toEqual((await decode(twin.engine, TEXT, options)).ids);
    expect(toy.ref.architecture_sha256).not.toBe(twin.ref.architecture_sha256);
    toy.close();
    twin.close();
  });

  test("refuses tensors that it does not use, and two that are one", async () => {
    const { hiddenSize } = tinySpec(MODEL);
    await expectFailure(
      () => openCheckpoint(writeToy({ "transformer.ln_3.weight": [hiddenSize] })),
      "ARCHITECTURE_UNSUPPORTED",
      /ln_3.*wren/,
    );
    await expectFailure(
      () => openCheckpoint(writeToy({ "model.norm.weight": [hiddenSize] })),
      "CHECKPOINT_CORRUPT",
      /model\.norm\.weight.*transformer\.ln_f/,
    );
  });

  test("is refused as a GGUF file, whose names and keys it does not have", async () => {
    const metadata = { "general.architecture": { type: "string", value: "wren" } } as const;
    const path = writeTinyGguf(join(temporaryFolder(), "wren.gguf"), { ...MODEL, metadata });
    await expectFailure(() => openCheckpoint(path), "ARCHITECTURE_UNSUPPORTED", /wren/);
  });
});
