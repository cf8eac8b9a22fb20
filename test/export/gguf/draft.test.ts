/** Drafts as GGUF models, read again by draftplan's own reader. */
import { mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { draftOf } from "../../../src/export/gguf/draft.js";
import { folderModel, folderTensors } from "../../../src/export/gguf/from-folder.js";
import { ggufModel } from "../../../src/export/gguf/from-gguf.js";
import { writeGguf } from "../../../src/export/gguf/write.js";
import { openExportModel } from "../../../src/export/open-model.js";
import type { GgufFile } from "../../../src/model/formats/gguf-file.js";
import { openGguf } from "../../../src/model/formats/gguf-parts.js";
import { expectedTensors, readTensor } from "../../../src/model/formats/tensors.js";
import { openCheckpoint } from "../../../src/model/open.js";
import { halfSplitRows } from "../../../src/model/rotary-rows.js";
import type { Checkpoint } from "../../../src/model/spec.js";
import { type Choice, type ChoiceSet, uniformChoices } from "../../../src/schema/choice.js";
import { readDefinition } from "../../../src/tokenizer/open.js";
import type { Metadata } from "../../support/gguf-bytes.js";
import {
  type GgufOptions,
  TINY_ARCHITECTURES,
  type TinyModel,
  temporaryFolder,
  tinyTensors,
  writeTinyCheckpoint,
  writeTinyGguf,
} from "../../support/tiny-checkpoint.js";
import { folderWith, tinyFile } from "../../support/tokenizers.js";

const root = temporaryFolder();
const fresh = (): string => mkdtempSync(join(root, "d-"));
const LAYERS = 4;
const SHAPE: TinyModel = { layers: LAYERS, hidden: 64, heads: 4, kvHeads: 2, intermediate: 96, vocab: 96, tied: false };

const skipping = (...blocks: string[]): ChoiceSet => choices("target", "target", ...blocks);
const choices = (kernel: Choice, head: ChoiceSet["head"], ...skipped: string[]): ChoiceSet => ({
  head,
  blocks: Array.from({ length: 2 * LAYERS }, (_, i) =>
    skipped.includes(`${i >> 1}.${i % 2 === 0 ? "attn" : "mlp"}`) ? "skip" : kernel,
  ),
});

/** Writes the draft of a GGUF file. @returns its path */
async function drafted(path: string, set: ChoiceSet): Promise<string> {
  const { spec, close } = await openCheckpoint(path);
  close();
  const file = openGguf(path);
  const output = join(fresh(), "draft.gguf");
  await writeGguf(output, {
    ...draftOf(ggufModel(file, spec), set),
    alignment: file.number("general.alignment") ?? 32,
  });
  file.close();
  return output;
}

const tiny = (model: TinyModel & GgufOptions = {}): string =>
  writeTinyGguf(join(fresh(), "m.gguf"), { ...SHAPE, ...model });

function values(file: GgufFile, name: string): number[] {
  const tensor = file.tensors.get(name);
  if (tensor === undefined) throw new Error(`${name} is missing`);
  return [...readTensor(tensor)];
}

/** By bytes: the matcher goes through numbers one by one, which takes seconds for an embedding. */
function expectSame(name: string, a: Float32Array, b: Float32Array): void {
  expect(Buffer.compare(Buffer.from(a.buffer), Buffer.from(b.buffer)), name).toBe(0);
}

/** Layer 0 of one is layer `from[0]` of the other, and so on; what belongs to no layer is equal. */
function expectLayers(draft: Checkpoint, target: Checkpoint, from: readonly { attn: number; mlp: number }[]): void {
  for (const [name, shape] of expectedTensors(draft.spec)) {
    const [, layer, part] = /^model\.layers\.(\d+)\.(.+)$/.exec(name) ?? [];
    const kind = part?.startsWith("self_attn") || part?.startsWith("input_layernorm") ? "attn" : "mlp";
    const source = layer === undefined ? name : `model.layers.${from[Number(layer)][kind]}.${part}`;
    expectSame(name, draft.tensor(name, shape), target.tensor(source, shape));
  }
}

describe("of a GGUF file", () => {
  const perLayer: Metadata = { type: "array", of: "i32", values: [2, 2, 2, 2] };
  test.each<[string, TinyModel & GgufOptions]>([
    ["llama in F16", { type: "F16" }],
    ["qwen2 in Q8_0", { architecture: "qwen2", type: "Q8_0" }],
    ["qwen3 in BF16 and tied", { architecture: "qwen3", type: "BF16", tied: true }],
    ["aligned to 4096", { alignment: 4096 }],
    ["a list by layer", { metadata: { "llama.attention.head_count_kv": perLayer } }],
  ])("with every block kept is the file again, byte for byte: %s", async (_, model) => {
    const path = tiny(model);
    const [before, after] = [readFileSync(path), readFileSync(await drafted(path, uniformChoices(LAYERS, "target")))];
    expect(after.subarray(0, before.length).equals(before)).toBe(true);
    expect(after.length - before.length).toBeLessThan(model.alignment ?? 32);
  });

  test.each(TINY_ARCHITECTURES)(
    "of %s without whole layers has the blocks of those that stay",
    async (architecture) => {
      const path = tiny({ architecture, type: "Q8_0" });
      const draft = await openCheckpoint(await drafted(path, skipping("0.attn", "0.mlp", "2.attn", "2.mlp")));
      const target = await openCheckpoint(path);
      expect(draft.spec).toEqual({ ...target.spec, layers: 2 });
      expect(draft.storedTypes.Q8_0).toBe(2 + 14);
      expectLayers(draft, target, [
        { attn: 1, mlp: 1 },
        { attn: 3, mlp: 3 },
      ]);
      for (const one of [draft, target]) one.close();
    },
  );

  test("an MLP and the attention behind it make whole layers of what is left", async () => {
    const path = tiny();
    const draft = await openCheckpoint(await drafted(path, skipping("1.mlp", "2.attn")));
    const target = await openCheckpoint(path);
    expectLayers(draft, target, [
      { attn: 0, mlp: 0 },
      { attn: 1, mlp: 2 },
      { attn: 3, mlp: 3 },
    ]);
    for (const one of [draft, target]) one.close();
  });

  test("lists by layer keep the entries of the layers that stay", async () => {
    const path = tiny({
      metadata: {
        "llama.attention.head_count_kv": perLayer,
        "llama.other": { type: "array", of: "i32", values: [10, 11, 12, 13] },
        "llama.pair": { type: "array", of: "i32", values: [1, 2] },
      },
    });
    const file = openGguf(await drafted(path, skipping("1.attn", "1.mlp")));
    expect(file.numbers("llama.other")).toEqual([10, 12, 13]);
    expect(file.numbers("llama.attention.head_count_kv")).toEqual([2, 2, 2]);
    expect(file.numbers("llama.pair")).toEqual([1, 2]);
    file.close();
  });
});

describe("kernels of the plan", () => {
  test("int8 is Q8_0 and int4 Q4_0, norms stay", async () => {
    const path = tiny({ type: "F16" });
    const file = openGguf(await drafted(path, choices("int8", "int4")));
    const types = (part: RegExp) => [
      ...new Set([...file.tensors].flatMap(([name, t]) => (part.test(name) ? t.type : []))),
    ];
    expect(types(/^blk\..*(attn_[qkv]|attn_output|ffn_(gate|up|down))\.weight$/)).toEqual(["Q8_0"]);
    expect(types(/^output\.weight$/)).toEqual(["Q4_0"]);
    expect(types(/^token_embd\.weight$/)).toEqual(["F16"]);
    expect(types(/norm\.weight$/)).toEqual(["F32"]);
    file.close();
  });

  test("what takes no more bytes already stays as it is", async () => {
    const path = tiny({ type: "Q8_0" });
    const { tensors, matrices } = await opened(path, choices("int8", "target"));
    expect(new Set(tensors.map(({ type }) => type))).toEqual(new Set(["F32", "Q8_0"]));
    expect(matrices).toEqual({ converted: 0, kept: 7 * LAYERS });
    expect((await opened(path, choices("int4", "target"))).matrices).toEqual({ converted: 7 * LAYERS, kept: 0 });
  });

  test("rows that are no whole blocks stay as they are", async () => {
    const path = tiny({ type: "F16", intermediate: 80 });
    const { tensors, matrices } = await opened(path, choices("int8", "target"));
    expect(tensors.find(({ name }) => name === "blk.0.ffn_down.weight")?.type).toBe("F16");
    expect(matrices).toEqual({ converted: 6 * LAYERS, kept: LAYERS });
  });

  test("a tied head of another kernel is a tensor of its own, and the embedding stays", async () => {
    const path = tiny({ type: "F16", tied: true });
    const draft = openGguf(await drafted(path, choices("target", "int8")));
    const target = openGguf(path);
    expect(draft.tensors.get("output.weight")?.type).toBe("Q8_0");
    expect(values(draft, "token_embd.weight")).toEqual(values(target, "token_embd.weight"));
    const [rounded, exact] = [values(draft, "output.weight"), values(target, "token_embd.weight")];
    const worst = Math.max(...exact.map((value, i) => Math.abs(value - rounded[i])));
    expect(worst).toBeLessThan(Math.max(...exact.map(Math.abs)) / 127);
    for (const file of [draft, target]) file.close();
  });

  async function opened(path: string, set: ChoiceSet) {
    const { spec, close } = await openCheckpoint(path);
    close();
    const file = openGguf(path);
    file.close();
    return draftOf(ggufModel(file, spec), set);
  }
});

describe("a layer with one of its blocks, as deci", () => {
  test("says heads and rows by layer, and holds zeros where llama.cpp needs something", async () => {
    const path = tiny({ type: "F16" });
    const draft = openGguf(await drafted(path, skipping("0.attn", "2.attn", "3.mlp")));
    const target = openGguf(path);
    expect(draft.string("general.architecture")).toBe("deci");
    expect([...draft.metadata.keys()].filter((key) => key.startsWith("llama."))).toEqual([]);
    expect(draft.number("deci.block_count")).toBe(4);
    expect(draft.numbers("deci.attention.head_count")).toEqual([1, 4, 0, 4]);
    expect(draft.numbers("deci.attention.head_count_kv")).toEqual([1, 2, 0, 2]);
    expect(draft.numbers("deci.feed_forward_length")).toEqual([96, 96, 96, 32]);
    expect(draft.number("deci.attention.key_length")).toBe(16);
    expect(draft.number("deci.context_length")).toBe(target.number("llama.context_length"));
    expect(draft.tensors.get("blk.0.attn_q.weight")?.shape).toEqual([16, 64]);
    expect(draft.tensors.get("blk.0.attn_output.weight")?.shape).toEqual([64, 16]);
    const zero = ["blk.0.attn_v.weight", "blk.0.attn_output.weight", "blk.3.ffn_up.weight", "blk.3.ffn_down.weight"];
    for (const name of zero) expect(new Set(values(draft, name)), name).toEqual(new Set([0]));
    expect(draft.tensors.has("blk.2.attn_norm.weight")).toBe(false);
    for (const name of ["blk.2.ffn_down.weight", "blk.3.attn_q.weight", "blk.0.ffn_norm.weight", "output.weight"])
      expect(values(draft, name), name).toEqual(values(target, name));
    for (const file of [draft, target]) file.close();
  });

  test("its layers are packed: an MLP may follow another layer's attention", async () => {
    const path = tiny();
    const draft = openGguf(await drafted(path, skipping("0.mlp", "1.attn", "3.mlp")));
    const target = openGguf(path);
    expect(draft.number("deci.block_count")).toBe(3);
    expect(draft.numbers("deci.feed_forward_length")).toEqual([96, 96, 32]);
    expect(values(draft, "blk.0.attn_k.weight")).toEqual(values(target, "blk.0.attn_k.weight"));
    expect(values(draft, "blk.0.ffn_gate.weight")).toEqual(values(target, "blk.1.ffn_gate.weight"));
    expect(values(draft, "blk.2.attn_v.weight")).toEqual(values(target, "blk.3.attn_v.weight"));
    for (const file of [draft, target]) file.close();
  });

  test("rows of q and k are interleaved where the target's are half-split, as they are stored", async () => {
    const path = tiny({ architecture: "qwen2", type: "Q8_0" });
    const draft = openGguf(await drafted(path, skipping("1.mlp")));
    const target = openGguf(path);
    for (const [part, heads] of [
      ["attn_q.weight", 4],
      ["attn_k.weight", 2],
      ["attn_q.bias", 4],
      ["attn_k.bias", 2],
    ] as const) {
      const stored = Float32Array.from(values(draft, `blk.2.${part}`));
      expect([...halfSplitRows(stored, heads, 16)], part).toEqual(values(target, `blk.2.${part}`));
    }
    expect(values(draft, "blk.2.attn_v.bias")).toEqual(values(target, "blk.2.attn_v.bias"));
    for (const file of [draft, target]) file.close();
  });
});

describe("of a Hugging Face folder", () => {
  async function fromFolder(path: string, set: ChoiceSet): Promise<string> {
    const model = await openExportModel(path);
    try {
      const parts = folderTensors(model);
      if (parts === null) throw new Error("no such architecture");
      const whole = folderModel(parts, model, await readDefinition(TOKENIZER));
      const output = join(fresh(), "draft.gguf");
      await writeGguf(output, draftOf(whole, set));
      return output;
    } finally {
      model.close();
    }
  }
  const TOKENIZER = folderWith({ "tokenizer.json": tinyFile() });
  const WORDS: TinyModel = { ...SHAPE, hidden: 32, heads: 2, kvHeads: 1, intermediate: 64 };

  test.each(
    TINY_ARCHITECTURES.flatMap((architecture) =>
      (["F32", "F16", "BF16"] as const).map((dtype) => ({ architecture, dtype })),
    ),
  )("$architecture in $dtype: the weights, as they are stored", async ({ architecture, dtype }) => {
    const model = { ...WORDS, architecture, dtype, layers: 2, attentionBias: architecture === "llama", bosTokenId: 0 };
    const folder = writeTinyCheckpoint(fresh(), model);
    const written = await openCheckpoint(await fromFolder(folder, uniformChoices(2, "target")));
    const target = await openCheckpoint(folder);
    const { spec } = written;
    expect(spec).toEqual({
      ...target.spec,
      architecture: architecture === "mistral" ? "llama" : architecture,
      eosTokenIds: spec.eosTokenIds,
    });
    for (const [name, shape] of expectedTensors(spec))
      expectSame(name, written.tensor(name, shape), target.tensor(name, shape));
    if (dtype !== "F32") expect(written.storedTypes[dtype]).toBe(2 + 2 * 7);
    for (const one of [written, target]) one.close();
  });

  test("llama3's frequency scaling survives", async () => {
    const ropeScaling = {
      type: "llama3",
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalContext: 128,
    } as const;
    const folder = writeTinyCheckpoint(fresh(), { ...WORDS, layers: 1, ropeScaling });
    const written = await openCheckpoint(await fromFolder(folder, uniformChoices(1, "target")));
    expect(written.spec.rope.scaling).toEqual(ropeScaling);
    written.close();
  });

  test("the same weights in both formats give the same draft, tensor for tensor", async () => {
    const set = choices("int8", "int4", "1.mlp", "2.attn", "2.mlp");
    const model = { ...WORDS, layers: LAYERS };
    const [a, b] = [
      openGguf(await fromFolder(writeTinyCheckpoint(fresh(), { ...model, dtype: "F32" }), set)),
      openGguf(await drafted(writeTinyGguf(join(fresh(), "m.gguf"), model), set)),
    ];
    expect([...a.tensors.keys()].sort()).toEqual([...b.tensors.keys()].sort());
    for (const name of a.tensors.keys())
      expectSame(name, Float32Array.from(values(a, name)), Float32Array.from(values(b, name)));
    for (const key of b.metadata.keys())
      if (key.startsWith("deci.") && b.metadata.get(key) !== undefined && typeof b.metadata.get(key) !== "object")
        expect(a.metadata.get(key), key).toEqual(b.metadata.get(key));
    for (const file of [a, b]) file.close();
  });
});

test("the tiny models of these tests differ from layer to layer", () => {
  const all = tinyTensors(SHAPE);
  expect(all.get("model.layers.0.mlp.up_proj.weight")?.values).not.toEqual(
    all.get("model.layers.1.mlp.up_proj.weight")?.values,
  );
});
