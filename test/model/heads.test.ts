/** Folders of heads: what is made of each layout, and what is refused and how. Folders of the twins: test/fixtures/heads. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { CPU_DIALECT } from "../../src/model/graph/dialect.js";
import { requireFits } from "../../src/model/heads/fit.js";
import { passBytes } from "../../src/model/heads/graph.js";
import { headsBeside, looksLikeHeads, openHeadsCheckpoint } from "../../src/model/heads/open.js";
import type { HeadsSpec } from "../../src/model/heads/spec.js";
import { openCheckpoint } from "../../src/model/open.js";
import type { ModelSpec } from "../../src/model/spec.js";
import { type RawTensor, safetensorsBytes } from "../support/safetensors-bytes.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const FIXTURES = fileURLToPath(new URL("../fixtures/heads/", import.meta.url));
const [SIZE, VOCAB] = [16, 40];

async function specOf(folder: string): Promise<HeadsSpec> {
  const heads = await openHeadsCheckpoint(folder);
  heads.close();
  return heads.spec;
}

test.each([
  [
    "medusa",
    { kind: "medusa", layout: "FasterDecoding", blocks: 1, blockBias: true, lmHead: "each", lmHeadRows: VOCAB },
  ],
  ["medusa-two-blocks", { layout: "FasterDecoding", blocks: 2, lmHead: "each" }],
  ["medusa-legacy", { layout: "FasterDecoding", blocks: 1, lmHead: "model", lmHeadRows: null }],
  ["vllm", { kind: "medusa", layout: "vLLM", blockBias: false, lmHead: "each", vocabSize: VOCAB, tokenMap: null }],
  ["vllm-one-head", { layout: "vLLM", blocks: 2, blockBias: true, lmHead: "one" }],
  ["vllm-models-head", { layout: "vLLM", lmHead: "model" }],
  ["vllm-truncated", { layout: "vLLM", lmHead: "each", lmHeadRows: 12 }],
  ["vllm-truncated-whole-head", { layout: "vLLM", lmHead: "one", lmHeadRows: VOCAB }],
  ["hydra", { kind: "hydra", layout: "Hydra", prefix: false, lmHead: "each", lmHeadBias: true }],
  ["hydra-two-blocks", { kind: "hydra", blocks: 2 }],
  ["hydra-models-head", { kind: "hydra", lmHead: "model", prefix: false }],
  ["hydra-prefix", { kind: "hydra", blocks: 2, prefix: true, lmHead: "each" }],
])("%s: what it is", async (name, expected) => {
  expect(await specOf(join(FIXTURES, name))).toMatchObject({ heads: 3, hiddenSize: SIZE, ...expected });
  expect(looksLikeHeads(join(FIXTURES, name))).toBe(true);
});

test("its digest is its weight file's, and its types are counted", async () => {
  const heads = await openHeadsCheckpoint(join(FIXTURES, "medusa"));
  heads.close();
  const { createHash } = await import("node:crypto");
  const bytes = readFileSync(join(FIXTURES, "medusa", "medusa_lm_head.safetensors"));
  expect(heads.sha256).toBe(createHash("sha256").update(bytes).digest("hex"));
  expect(heads.storedTypes).toEqual({ F16: 9 });
});

/** A copy of a twin's folder, changed. */
function changed(
  name: string,
  config: (config: Record<string, unknown>) => Record<string, unknown>,
  tensors: (tensors: Map<string, RawTensor>) => void = () => {},
): string {
  const folder = join(temporaryFolder(), name);
  cpSync(join(FIXTURES, name), folder, { recursive: true });
  const configPath = join(folder, "config.json");
  writeFileSync(configPath, JSON.stringify(config(JSON.parse(readFileSync(configPath, "utf8")))));
  const file = join(folder, readdirSync(folder).find((f) => f.endsWith(".safetensors")) as string);
  const all = readTensors(file);
  tensors(all);
  writeFileSync(file, safetensorsBytes(all));
  return folder;
}

function readTensors(file: string): Map<string, RawTensor> {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, start).toString()) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  return new Map(
    entries.map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => [name, { dtype, shape, bytes: bytes.subarray(start + from, start + to) }],
    ),
  );
}

const floats = (shape: readonly number[], value = 0.5): RawTensor => ({
  dtype: "F32",
  shape,
  bytes: new Uint8Array(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value).buffer),
});
const same = (config: Record<string, unknown>) => config;
const refused = (folder: string) =>
  openHeadsCheckpoint(folder).then(
    (heads) => {
      heads.close();
      return null;
    },
    ({ code, at, what, remedy }) => ({ code, at, what, remedy }),
  );
const like = (code: string, what: string) => expect.objectContaining({ code, what: expect.stringContaining(what) });

describe("how many heads", () => {
  test("FasterDecoding's file goes before its configuration, where it holds more", async () => {
    expect((await specOf(join(FIXTURES, "medusa"))).heads).toBe(3); // the configuration says 2
  });

  test("vLLM's configuration is the word: heads beyond it are left alone", async () => {
    const folder = changed("vllm", (config) => ({ ...config, num_heads: 2 }));
    expect((await specOf(folder)).heads).toBe(2);
  });

  test("keys of the other Medusa layout count as well, as in vLLM", async () => {
    const folder = changed("vllm", ({ num_heads, num_hidden_layers, ...config }) => ({
      ...{ ...config, medusa_num_heads: num_heads, medusa_num_layers: num_hidden_layers },
    }));
    expect(await specOf(folder)).toMatchObject({ heads: 3, layout: "vLLM", blocks: 1 });
  });

  test("more than the file holds are missed by name", async () => {
    const folder = changed("medusa", (config) => ({ ...config, medusa_num_heads: 4 }));
    const error = await refused(folder);
    expect(error).toEqual(like("TENSOR_MISSING", "not in the file"));
    expect(error?.at).toContain("block.3.0.weight");
  });
});

describe("refuses others by name", () => {
  const others: [string, Record<string, unknown>, string[], string][] = [
    ["EAGLE, by its class", { architectures: ["EagleLlamaForCausalLM"], model_type: "eagle" }, [], "EAGLE:"],
    ["EAGLE-3, by its class", { architectures: ["LlamaForCausalLMEagle3"], model_type: "llama" }, [], "EAGLE-3"],
    [
      "EAGLE, by its tensors",
      { architectures: ["LlamaForCausalLM"] },
      ["fc.weight", "layers.0.x.weight"],
      "EAGLE, by its tensors",
    ],
    ["EAGLE-3, by its tensors", { model_type: "llama" }, ["midlayer.x.weight", "d2t"], "EAGLE-3, by its tensors"],
    ["speculators", { speculators_model_type: "eagle3", speculators_config: {} }, [], "speculators' eagle3"],
    ["an MLP speculator", { model_type: "mlp_speculator" }, [], "MLP speculator"],
    ["DFlash", { architectures: ["DFlashDraftModel"] }, [], "DFlash"],
    ["multi-token prediction", { model_type: "deepseek_mtp" }, [], "MTP"],
    [
      "a model",
      { model_type: "llama", architectures: ["LlamaForCausalLM"] },
      ["model.norm.weight"],
      '"llama" is no kind of heads',
    ],
    ["nothing that is named", {}, ["x"], "nothing here says"],
    [
      "Hydra with cross attention",
      { hydra_head_arch: "cross-attn", hydra_num_heads: 3, grounded_heads: true },
      [],
      "cross-attn",
    ],
    ["Hydra that is told nothing", { hydra_num_heads: 3, grounded_heads: false }, [], "grounded_heads"],
    [
      "Hydra on earlier states",
      { hydra_num_heads: 3, grounded_heads: true, hidden_state_offset: 1 },
      [],
      "hidden_state_offset is 1",
    ],
  ];
  test.each(others)("%s", async (_name, config, tensors, what) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    const file = join(folder, "model.safetensors");
    writeFileSync(file, safetensorsBytes(new Map(tensors.map((name) => [name, floats([1])]))));
    const error = await refused(folder);
    expect(error).toEqual(like("HEADS_UNSUPPORTED", what));
    expect(error?.at).toBe(join(folder, "config.json"));
    if (tensors.length > 0) return;
    rmSync(file); // and without weights as well: not for what the folder lacks
    expect(await refused(folder)).toEqual(error);
  });
});

describe("refuses what is broken", () => {
  test.each(["medusa_lm_head.pt", "hydra_lm_head.pt", "pytorch_model.bin"])(
    "%s, with the line that converts it",
    async (file) => {
      const folder = temporaryFolder();
      writeFileSync(join(folder, "config.json"), JSON.stringify({ medusa_num_heads: 3 }));
      writeFileSync(join(folder, file), "PK");
      const error = await refused(folder);
      expect(error).toEqual(like("HEADS_UNSUPPORTED", "pickle"));
      expect(error?.at).toBe(join(folder, file));
      expect(error?.remedy).toContain(`torch.load('${file}'`);
      expect(error?.remedy).toContain(`${file.replace(/\.\w+$/, "")}.safetensors`);
    },
  );

  const cases: [string, () => string, string, string][] = [
    ["no folder", () => join(temporaryFolder(), "none"), "FILE_NOT_FOUND", "no such"],
    ["a file", () => join(FIXTURES, "logits.json"), "HEADS_UNSUPPORTED", "it is a file"],
    ["an empty folder", () => temporaryFolder(), "HEADS_UNSUPPORTED", "no config.json"],
    [
      "no weights",
      () => {
        const folder = temporaryFolder();
        writeFileSync(join(folder, "config.json"), JSON.stringify({ medusa_num_heads: 3 }));
        return folder;
      },
      ...(["FILE_NOT_FOUND", "no .safetensors"] as const),
    ],
    [
      "a number of heads that is none",
      () => changed("vllm", (c) => ({ ...c, num_heads: 0 })),
      "CONFIG_INVALID",
      "expected number to be >=1",
    ],
    [
      "a matrix of another size",
      () => changed("vllm", same, (t) => t.set("medusa_heads.blocks.1.layers.0.weight", floats([SIZE, 8]))),
      "TENSOR_SHAPE",
      "[16, 8]",
    ],
    [
      "a hidden size that is not the file's",
      () => changed("vllm", (c) => ({ ...c, hidden_size: 32 })),
      "TENSOR_SHAPE",
      "[32, 32]",
    ],
    [
      "a block that is not there",
      () => changed("medusa", same, (t) => t.delete("1.0.linear.bias")),
      "TENSOR_MISSING",
      "not in the file",
    ],
    [
      "an LM head that vLLM's configuration asks for",
      () => changed("vllm", same, (t) => t.delete("medusa_heads.lm_heads.1.weight")),
      "TENSOR_MISSING",
      "not in the file",
    ],
    [
      "a tensor that such heads do not have",
      () => changed("medusa", same, (t) => t.set("0.0.gate.weight", floats([SIZE, SIZE]))),
      "HEADS_UNSUPPORTED",
      "do not use it",
    ],
    [
      "a bias that vLLM would leave out",
      () => changed("vllm", same, (t) => t.set("blocks.0.layers.0.bias", floats([SIZE]))),
      "HEADS_UNSUPPORTED",
      "do not use it",
    ],
    [
      "more blocks than the configuration says",
      () => changed("hydra-two-blocks", (c) => ({ ...c, hydra_num_layers: 1 })),
      "HEADS_UNSUPPORTED",
      "do not use it",
    ],
    [
      "two names of one tensor",
      () => changed("vllm", same, (t) => t.set("blocks.0.layers.0.weight", floats([SIZE, SIZE]))),
      "CHECKPOINT_CORRUPT",
      "means the same as",
    ],
    [
      "a type that is not read",
      () =>
        changed("medusa", same, (t) =>
          t.set("0.0.linear.bias", { dtype: "I8", shape: [SIZE], bytes: new Uint8Array(SIZE) }),
        ),
      "TENSOR_TYPE_UNSUPPORTED",
      "I8",
    ],
    [
      "a token map that is too short",
      () => changed("vllm-truncated", same, (t) => t.set("token_map", tokenMap([1, 2, 3]))),
      "TENSOR_SHAPE",
      "[3]",
    ],
    [
      "no token map",
      () => changed("vllm-truncated", same, (t) => t.delete("token_map")),
      "TENSOR_MISSING",
      "not in the file",
    ],
    [
      "a token map of fractions",
      () => changed("vllm-truncated", same, (t) => t.set("token_map", floats([12]))),
      "CHECKPOINT_CORRUPT",
      "F32",
    ],
    [
      "a token twice in the map",
      () => changed("vllm-truncated", same, (t) => t.set("token_map", tokenMap([...new Array(11).keys(), 0]))),
      "CHECKPOINT_CORRUPT",
      "twice",
    ],
    [
      "a token below nought",
      () => changed("vllm-truncated", same, (t) => t.set("token_map", tokenMap([...new Array(11).keys(), -1]))),
      "CHECKPOINT_CORRUPT",
      "-1",
    ],
  ];
  test.each(cases)("%s", async (_name, make, code, what) => {
    expect(await refused(make())).toEqual(like(code, what));
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("%s among the weights, when it is read", async (bad) => {
    const folder = changed("vllm", same, (t) =>
      t.set("medusa_heads.blocks.1.layers.0.weight", floats([SIZE, SIZE], bad)),
    );
    const heads = await openHeadsCheckpoint(folder);
    expect(() => heads.tensor("block.1.0.weight", [SIZE, SIZE])).toThrow(
      expect.objectContaining({ code: "CHECKPOINT_CORRUPT", what: `number 0 of it is ${bad}` }),
    );
    heads.close();
  });
});

const tokenMap = (ids: number[]): RawTensor => ({
  dtype: "I64",
  shape: [ids.length],
  bytes: new Uint8Array(BigInt64Array.from(ids, BigInt).buffer),
});

describe("whether they fit a model", () => {
  const fits = async (folder: string, other: Partial<ModelSpec> = {}) => {
    const model = await openCheckpoint(join(FIXTURES, "model"));
    const heads = await openHeadsCheckpoint(folder);
    try {
      requireFits(heads, { ...model.spec, ...other });
    } finally {
      model.close();
      heads.close();
    }
  };
  const mismatch = (what: string) =>
    expect.objectContaining({ code: "HEADS_MISMATCH", what: expect.stringContaining(what) });

  test("every twin fits its model", async () => {
    for (const name of readdirSync(FIXTURES))
      if (name !== "model" && !name.includes(".") && !name.startsWith("__")) await fits(join(FIXTURES, name));
  });

  test("another hidden size, another vocabulary and another token map are told", async () => {
    const at = (name: string) => join(FIXTURES, name);
    await expect(fits(at("medusa"), { hiddenSize: 32 })).rejects.toThrow(
      mismatch("16 numbers, and the model's have 32"),
    );
    await expect(fits(at("vllm"), { vocabSize: 41 })).rejects.toThrow(mismatch("vocabulary is 40, and the model's 41"));
    await expect(fits(at("medusa"), { vocabSize: 41 })).rejects.toThrow(mismatch("knows 40 tokens, and 41"));
    const folder = changed("vllm-truncated", same, (t) =>
      t.set("token_map", tokenMap([...new Array(11).keys(), VOCAB])),
    );
    await expect(fits(folder)).rejects.toThrow(mismatch("token 40"));
  });

  test("a prefix layer of other sizes is told by its tensor", async () => {
    await expect(fits(join(FIXTURES, "hydra-prefix"), { intermediateSize: 32 })).rejects.toThrow(
      expect.objectContaining({
        code: "TENSOR_SHAPE",
        at: expect.stringContaining("prefix_embeding_layer.layers.0.mlp."),
      }),
    );
  });
});

test("heads beside a model are the folder of that name in the model's own", () => {
  const folder = temporaryFolder();
  cpSync(join(FIXTURES, "model"), folder, { recursive: true });
  expect(headsBeside(folder)).toBeNull();
  mkdirSync(join(folder, "heads"));
  expect(headsBeside(folder)).toBeNull();
  cpSync(join(FIXTURES, "vllm"), join(folder, "heads"), { recursive: true });
  expect(headsBeside(folder)).toBe(join(folder, "heads"));
  expect(looksLikeHeads(folder)).toBe(false);
  expect(looksLikeHeads(join(folder, "none"))).toBe(false);
});

describe("bytes that a pass reads", () => {
  test.each([
    // three heads of 16 x 16 and 40 x 16, in fp32
    ["medusa", 4 * 3 * (16 * 16 + 40 * 16)],
    ["medusa-two-blocks", 4 * 3 * (2 * 16 * 16 + 40 * 16)],
    ["vllm-models-head", 4 * (3 * 16 * 16 + 40 * 16)],
    ["vllm-truncated", 4 * 3 * (16 * 16 + 12 * 16)],
    // the last of three: its residual and its block over four states
    ["hydra", 4 * (2 * 16 * 64 + 40 * 16)],
    ["hydra-two-blocks", 4 * (2 * 16 * 64 + 16 * 16 + 40 * 16)],
  ])("%s", async (name, bytes) => {
    const model = await openCheckpoint(join(FIXTURES, "model"));
    model.close();
    expect(passBytes(await specOf(join(FIXTURES, name)), model.spec, "target", CPU_DIALECT)).toBe(bytes);
  });
});
