import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gguf as secondOpinion } from "@huggingface/gguf";
import { describe, expect, test } from "vitest";
import type { ErrorCode } from "../../src/core/errors.js";
import { openGguf } from "../../src/model/formats/gguf-parts.js";
import { readGgufTokenizerMetadata } from "../../src/model/formats/gguf-tokenizer.js";
import { openCheckpoint } from "../../src/model/open.js";
import { llama3Factors } from "../../src/model/rope.js";
import { halfSplitRows } from "../../src/model/rotary-rows.js";
import type { Llama3RopeScaling } from "../../src/model/spec.js";
import { expectFailure } from "../support/failure.js";
import type { Metadata } from "../support/gguf-bytes.js";
import { ggufBytes } from "../support/gguf-bytes.js";
import type { GgufOptions, TinyModel } from "../support/tiny-checkpoint.js";
import { temporaryFolder, writeTinyGguf } from "../support/tiny-checkpoint.js";

const root = temporaryFolder();
let used = 0;
const fresh = (): string => join(root, String(used++), "tiny.gguf");
const tiny = (model: TinyModel & GgufOptions = {}): string => writeTinyGguf(fresh(), { layers: 1, ...model });
const raw = (bytes: Uint8Array): string => {
  const path = fresh();
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
};

const u32 = (value: number): Metadata => ({ type: "u32", value });
const string = (value: string): Metadata => ({ type: "string", value });
const floats = (values: readonly number[]) => ({
  type: 0,
  shape: [values.length],
  bytes: new Uint8Array(Float32Array.from(values).buffer),
});

describe("a text that is not UTF-8", () => {
  /** the u of ü gone: C3 BC becomes FF BC */
  const broken = (metadata: Record<string, Metadata>): string => {
    const bytes = readFileSync(tiny({ metadata }));
    const at = bytes.indexOf(Buffer.from("ü"));
    expect(at).toBeGreaterThan(0);
    bytes[at] = 0xff;
    return raw(bytes);
  };

  test("refuses no model where nothing is computed by it", async () => {
    const path = broken({ "general.author": string("Müller") });
    (await openCheckpoint(path)).close();
    const file = openGguf(path);
    expect(() => file.string("general.author")).toThrow(/metadata general\.author.*not UTF-8: 4dffbc6c6c6572/);
    file.close();
  });

  test("is refused where it is a name of the model, a key, or a token", async () => {
    await expectFailure(
      () => openCheckpoint(broken({ "general.name": string("ü") })),
      "CHECKPOINT_CORRUPT",
      "not UTF-8",
    );
    await expectFailure(() => openGguf(broken({ "general.ü": u32(1) })), "CHECKPOINT_CORRUPT", "key is not UTF-8");
    const tokens: Metadata = { type: "array", of: "string", values: ["a", "ü"] };
    const file = openGguf(broken({ "tokenizer.ggml.tokens": tokens }));
    expect(() => file.strings("tokenizer.ggml.tokens")).toThrow(/not UTF-8: ffbc/);
    file.close();
  });
});

describe("architecture", () => {
  test.each([2, 3])("version %i is read", async (version) => {
    const checkpoint = await openCheckpoint(tiny({ version }));
    expect(checkpoint.spec.layers).toBe(1);
    checkpoint.close();
  });

  test("another alignment is honoured", async () => {
    const [plain, aligned] = await Promise.all([openCheckpoint(tiny()), openCheckpoint(tiny({ alignment: 4096 }))]);
    expect(aligned.tensor("model.norm.weight", [32])).toEqual(plain.tensor("model.norm.weight", [32]));
    plain.close();
    aligned.close();
  });

  test("what a file may leave out", async () => {
    const path = tiny({ kvHeads: 4 });
    const bare = new Set([
      "llama.attention.head_count_kv",
      "llama.attention.key_length",
      "llama.attention.value_length",
      "llama.rope.freq_base",
      "llama.rope.dimension_count",
      "general.name",
    ]);
    const full = await openCheckpoint(path);
    const file = openGguf(path);
    const metadata = [...file.metadata].filter(([key]) => !bare.has(key));
    const copy = tiny({ kvHeads: 4, metadata: {} });
    const original = readFileSync(copy);
    const kept = new Map(
      metadata.map(([key, value]): [string, Metadata] => [
        key,
        typeof value === "string"
          ? string(value)
          : { type: key.includes("epsilon") ? "f32" : "u32", value: Number(value) },
      ]),
    );
    const tensors = new Map(
      [...file.tensors].map(([name, t]) => [
        name,
        { type: 0, shape: t.shape, bytes: original.subarray(t.offset, t.offset + t.byteLength) },
      ]),
    );
    const spare = await openCheckpoint(raw(ggufBytes({ metadata: kept, tensors })));
    expect(spare.spec).toEqual({ ...full.spec, name: "tiny" });
    expect(spare.architectureSha256).toBe(full.architectureSha256);
    for (const open of [full, file, spare]) open.close();
  });

  test("key/value heads given per layer, all equal", async () => {
    const checkpoint = await openCheckpoint(
      tiny({ layers: 2, metadata: { "llama.attention.head_count_kv": { type: "array", of: "i32", values: [2, 2] } } }),
    );
    expect(checkpoint.spec.kvHeads).toBe(2);
    checkpoint.close();
  });

  test("end of turn counts as an end token", async () => {
    const checkpoint = await openCheckpoint(
      tiny({ metadata: { "tokenizer.ggml.eot_token_id": u32(9), "tokenizer.ggml.eom_token_id": u32(2) } }),
    );
    expect(checkpoint.spec.eosTokenIds).toEqual([2, 9]);
    checkpoint.close();
  });

  test("a sliding window as long as the context is none", async () => {
    const checkpoint = await openCheckpoint(tiny({ slidingWindow: 256, context: 256 }));
    expect(checkpoint.spec.slidingWindow).toBeNull();
    checkpoint.close();
  });

  test.each([
    ["linear by 1", { type: "linear", factor: 1 }],
    ["linear by 0, which llama.cpp takes for 1", { type: "linear", factor: 0 }],
    ["none, whatever the factor", { type: "none", factor: 4 }],
  ])("rotary frequencies scaled %s are as they are", async (_, { type, factor }) => {
    const metadata = {
      "llama.rope.scaling.type": string(type),
      "llama.rope.scaling.factor": { type: "f32" as const, value: factor },
    };
    const checkpoint = await openCheckpoint(tiny({ metadata }));
    expect(checkpoint.spec.rope.scaling).toBeNull();
    checkpoint.close();
  });

  // without a type, llama.cpp scales linearly
  test.each(["rope.scaling.factor", "rope.scale_linear"])("%s alone scales linearly", async (key) => {
    const checkpoint = await openCheckpoint(tiny({ metadata: { [`llama.${key}`]: { type: "f32", value: 4 } } }));
    expect(checkpoint.spec.rope.scaling).toEqual({ type: "linear", factor: 4 });
    checkpoint.close();
  });

  test.each<[ErrorCode, RegExp, TinyModel & GgufOptions]>([
    [
      "ARCHITECTURE_UNSUPPORTED",
      /"qwen2moe" is not supported: a mixture .*\(an expert that all tokens go through/,
      { metadata: { "general.architecture": string("qwen2moe") } },
    ],
    ["ARCHITECTURE_UNSUPPORTED", /"gemma"/, { metadata: { "general.architecture": string("gemma") } }],
    ["CONFIG_INVALID", /expert_used_count/, { metadata: { "llama.expert_count": u32(8) } }],
    [
      "ARCHITECTURE_UNSUPPORTED",
      /expert_shared_count: is 1/,
      { metadata: { "llama.expert_count": u32(8), "llama.expert_shared_count": u32(1) } },
    ],
    [
      "ARCHITECTURE_UNSUPPORTED",
      /rope\.scaling\.type: is "mscale"/,
      { metadata: { "llama.rope.scaling.type": string("mscale") } },
    ],
    [
      "CONFIG_INVALID",
      /rope\.scaling\.factor: is 0\.5/,
      { metadata: { "llama.rope.scaling.factor": { type: "f32", value: 0.5 } } },
    ],
    [
      "ARCHITECTURE_UNSUPPORTED",
      /yarn_attn_factor: is 2/,
      {
        metadata: {
          "llama.rope.scaling.type": string("yarn"),
          "llama.rope.scaling.yarn_attn_factor": { type: "f32", value: 2 },
        },
      },
    ],
    [
      "ARCHITECTURE_UNSUPPORTED",
      /attn_factor: is 2, without factors/,
      { metadata: { "llama.rope.scaling.attn_factor": { type: "f32", value: 2 } } },
    ],
    [
      "ARCHITECTURE_UNSUPPORTED",
      /attn_logit_softcapping: is 30/,
      { metadata: { "llama.attn_logit_softcapping": { type: "f32", value: 30 } } },
    ],
    ["ARCHITECTURE_UNSUPPORTED", /rope\.dimension_count: is 4/, { metadata: { "llama.rope.dimension_count": u32(4) } }],
    ["ARCHITECTURE_UNSUPPORTED", /value_length: is 16/, { metadata: { "llama.attention.value_length": u32(16) } }],
    ...["attention.key_length_swa", "attention.value_length_swa", "rope.dimension_count_swa"].map(
      (key): [ErrorCode, RegExp, TinyModel & GgufOptions] => [
        "ARCHITECTURE_UNSUPPORTED",
        new RegExp(`${key}: is 4`),
        { metadata: { [`llama.${key}`]: u32(4) } },
      ],
    ),
    ...(["none", "linear"] as const).flatMap((type) =>
      (["yarn_ext_factor", "yarn_attn_factor"] as const).map((key): [ErrorCode, RegExp, TinyModel & GgufOptions] => [
        "ARCHITECTURE_UNSUPPORTED",
        new RegExp(`${key}: is 0.5, and the scaling is not yarn`),
        {
          metadata: {
            "llama.rope.scaling.type": string(type),
            [`llama.rope.scaling.${key}`]: { type: "f32", value: 0.5 },
          },
        },
      ]),
    ),
    [
      "ARCHITECTURE_UNSUPPORTED",
      /head_count_kv: differs/,
      { layers: 2, metadata: { "llama.attention.head_count_kv": { type: "array", of: "i32", values: [2, 1] } } },
    ],
    ["ARCHITECTURE_UNSUPPORTED", /sliding_window: is 64/, { architecture: "qwen2", slidingWindow: 64 }],
    [
      "ARCHITECTURE_UNSUPPORTED",
      /blk\.0\.ffn_gate_inp\.weight/,
      { tensors: { "blk.0.ffn_gate_inp.weight": floats([1]) } },
    ],
    [
      "CHECKPOINT_CORRUPT",
      /general\.architecture: is not a string/,
      { metadata: { "general.architecture": { type: "array", of: "u8", values: [] } } },
    ],
    ["CONFIG_INVALID", /block_count/, { metadata: { "llama.block_count": u32(0) } }],
    ["CONFIG_INVALID", /block_count/, { metadata: { "llama.block_count": u32(4e9) } }],
    ["CONFIG_INVALID", /block_count/, { metadata: { "llama.block_count": string("1") } }],
    ["CONFIG_INVALID", /context_length/, { metadata: { "llama.context_length": { type: "i64", value: -5 } } }],
    [
      "CONFIG_INVALID",
      /epsilon/,
      { metadata: { "llama.attention.layer_norm_rms_epsilon": { type: "f32", value: Number.NaN } } },
    ],
    ["CONFIG_INVALID", /eos_token_id/, { metadata: { "tokenizer.ggml.eos_token_id": { type: "i32", value: -1 } } }],
    ["CONFIG_INVALID", /token_embd\.weight: missing/, { tensors: { "token_embd.weight": null } }],
    ["TENSOR_MISSING", /model\.layers\.0\.mlp\.up_proj\.weight/, { tensors: { "blk.0.ffn_up.weight": null } }],
    ["TENSOR_SHAPE", /output_norm\.weight: has shape \[3\]/, { tensors: { "output_norm.weight": floats([1, 2, 3]) } }],
    [
      "TENSOR_TYPE_UNSUPPORTED",
      /IQ2_XS/,
      { tensors: { "output_norm.weight": { type: 17, shape: [256], bytes: new Uint8Array(74) } } },
    ],
    ["CHECKPOINT_CORRUPT", /split\.no: is missing/, { metadata: { "split.count": { type: "u16", value: 3 } } }],
    ["MODEL_NOT_RECOGNISED", /version 1;/, { version: 1 }],
    ["MODEL_NOT_RECOGNISED", /big-endian/, { version: 3 << 24 }],
  ])("%s %s", async (code, text, model) => {
    await expectFailure(() => openCheckpoint(tiny(model)), code, text);
  });

  test("a file without metadata", async () => {
    await expectFailure(
      () => openCheckpoint(raw(ggufBytes({ metadata: new Map(), tensors: new Map() }))),
      "CONFIG_INVALID",
      /general\.architecture: missing/,
    );
  });
});

describe("llama3 frequency scaling", () => {
  const scaling: Llama3RopeScaling = {
    type: "llama3",
    factor: 32,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalContext: 8192,
  };
  const model = { heads: 2, kvHeads: 2, hidden: 128, headDim: 64, theta: 500000 };
  const open = (factors: readonly number[]) =>
    openCheckpoint(tiny({ ...model, tensors: { "rope_freqs.weight": floats(factors) } }));

  test("factors follow the published formula at its ends and in between", () => {
    const factors = llama3Factors(scaling, 500000, 64);
    expect(factors[0]).toBe(1);
    expect(factors[31]).toBe(32);
    // Computed by hand from transformers' `_compute_llama3_parameters`: frequency 16 has 8192 / (2π · sqrt(500000)) turns.
    const turns = 8192 / (2 * Math.PI * Math.sqrt(500000));
    const smooth = (turns - 1) / 3;
    expect(factors[16]).toBeCloseTo(1 / ((1 - smooth) / 32 + smooth), 9);
  });

  test.each([8, 32])("factor %i is recognised", async (factor) => {
    const checkpoint = await open(llama3Factors({ ...scaling, factor }, 500000, 64));
    expect(checkpoint.spec.rope).toEqual({ theta: 500000, scaling: { ...scaling, factor } });
    checkpoint.close();
  });

  test("factors of one scale nothing", async () => {
    const checkpoint = await open(Array(32).fill(1));
    expect(checkpoint.spec.rope.scaling).toBeNull();
    checkpoint.close();
  });

  test.each([
    ["of another formula", Array.from({ length: 32 }, (_, i) => 1 + i)],
    ["of another length", Array(31).fill(1)],
    ["that are not numbers", Array(32).fill(Number.NaN)],
    ["below one", Array(32).fill(0.5)],
  ])("factors %s are refused", async (_name, factors) => {
    await expectFailure(() => open(factors), "ARCHITECTURE_UNSUPPORTED", /rope_freqs\.weight/);
  });
});

test("rows of a head go from interleaved to half-split order", () => {
  // two heads of four rows, one column: rows 0, 1 are the first pair
  expect([...halfSplitRows(Float32Array.of(0, 1, 2, 3, 10, 11, 12, 13), 2, 4)]).toEqual([0, 2, 1, 3, 10, 12, 11, 13]);
});

describe("a corrupt header is refused, with the byte where it goes wrong", () => {
  /** GGUF, version 3, then the given 64-bit numbers */
  const header = (...numbers: bigint[]): Buffer => {
    const bytes = Buffer.alloc(8 + numbers.length * 8 + 64);
    bytes.write("GGUF");
    bytes.writeUInt32LE(3, 4);
    for (const [i, n] of numbers.entries()) bytes.writeBigUInt64LE(n, 8 + i * 8);
    return bytes;
  };
  const array = (of: number, count: bigint): Buffer => {
    const bytes = header(0n, 1n, 1n, 0n, 0n);
    bytes.write("k", 32);
    bytes.writeUInt32LE(9, 33);
    bytes.writeUInt32LE(of, 37);
    bytes.writeBigUInt64LE(count, 41);
    return bytes;
  };

  test.each<[string, Uint8Array, RegExp]>([
    ["too short", Buffer.from("GGUF\x03\0\0\0"), /the file has 8 bytes/],
    ["2^64 - 1 tensors", header(2n ** 64n - 1n, 0n), /byte 8: \d+ tensors/],
    ["2^32 metadata entries", header(0n, 2n ** 32n), /byte 16: 4294967296 metadata entries/],
    ["a key of 2^40 bytes", header(0n, 1n, 2n ** 40n), /byte 24: 1099511627776 bytes of key/],
    ["an array of 2^60 bytes", array(0, 2n ** 60n), /byte 41: \d+ array items/],
    ["an array of 2^31 strings", array(8, 2n ** 31n), /byte 41: 2147483648 array items/],
    ["an array of arrays", array(9, 1n), /an array of items of type 9/],
    ["an array of an unknown type", array(77, 1n), /an array of items of type 77/],
    [
      "an unknown type",
      ggufBytes({ metadata: new Map([["k", u32(1)]]), tensors: new Map() }).fill(99, 33, 34),
      /unknown value type 99/,
    ],
  ])("%s", async (_name, bytes, text) => {
    await expectFailure(() => openCheckpoint(raw(bytes)), "CHECKPOINT_CORRUPT", text);
  });

  const norm = { type: 0, shape: [32], bytes: new Uint8Array(128) };
  const withTensor = (name: string, tensor: { type: number; shape: number[]; bytes: Uint8Array }): Buffer =>
    ggufBytes({
      metadata: new Map([["general.architecture", string("llama")]]),
      tensors: new Map([
        ["first", norm],
        [name, tensor],
      ]),
    });

  test.each<[string, Uint8Array, RegExp]>([
    ["past the end of the file", withTensor("t", { ...norm, shape: [64] }), /tensor t: ends at byte|tensor t of shape/],
    [
      "larger than any file",
      withTensor("t", { ...norm, shape: [2 ** 50, 2 ** 50] }),
      /tensor t of shape \[.*\] does not fit/,
    ],
    ["without numbers", withTensor("t", { ...norm, shape: [0] }), /does not fit into the file/],
    ["in five dimensions", withTensor("t", { ...norm, shape: [1, 1, 1, 1, 32] }), /5 dimensions/],
    ["in no dimension", withTensor("t", { ...norm, shape: [] }), /0 dimensions/],
    ["of an unknown type", withTensor("t", { ...norm, type: 200 }), /unknown type 200/],
    [
      "of rows that are no whole blocks",
      withTensor("t", { type: 8, shape: [32, 16], bytes: new Uint8Array(544) }),
      /rows of 16 numbers; Q8_0/,
    ],
  ])("a tensor %s", async (_name, bytes, text) => {
    await expectFailure(() => openCheckpoint(raw(bytes)), "CHECKPOINT_CORRUPT", text);
  });

  test("tensors that overlap or lie off the alignment", async () => {
    const bytes = withTensor("second", norm);
    const offset = bytes.indexOf("second") + "second".length + 4 + 8 + 4;
    expect(bytes.readBigUInt64LE(offset)).toBe(128n);
    bytes.writeBigUInt64LE(96n, offset);
    await expectFailure(
      () => openCheckpoint(raw(bytes)),
      "CHECKPOINT_CORRUPT",
      /tensor second: begins at byte \d+, inside tensor first/,
    );
    bytes.writeBigUInt64LE(100n, offset);
    await expectFailure(
      () => openCheckpoint(raw(bytes)),
      "CHECKPOINT_CORRUPT",
      /begins at 100, not on a multiple of 32/,
    );
  });

  test("a name used twice", async () => {
    const twice = withTensor("xirst", norm);
    twice.write("first", twice.indexOf("xirst"));
    await expectFailure(() => openCheckpoint(raw(twice)), "CHECKPOINT_CORRUPT", /tensor first appears twice/);
    const keys = ggufBytes({
      metadata: new Map([
        ["a", u32(1)],
        ["b", u32(2)],
      ]),
      tensors: new Map(),
    });
    keys.write("a", keys.lastIndexOf("b"));
    await expectFailure(() => openCheckpoint(raw(keys)), "CHECKPOINT_CORRUPT", /metadata key a appears twice/);
  });

  test.each([0, 3, 2 ** 31])("alignment %i", async (alignment) => {
    await expectFailure(
      () => openCheckpoint(tiny({ metadata: { "general.alignment": u32(alignment) } })),
      "CHECKPOINT_CORRUPT",
      /general\.alignment/,
    );
  });
});

describe("tokenizer metadata", () => {
  const vocabulary: Record<string, Metadata> = {
    "tokenizer.ggml.model": string("gpt2"),
    "tokenizer.ggml.pre": string("smollm"),
    "tokenizer.ggml.tokens": { type: "array", of: "string", values: ["<unk>", "Ġa", "é€😀"] },
    "tokenizer.ggml.token_type": { type: "array", of: "i32", values: [2, 1, 1] },
    "tokenizer.ggml.merges": { type: "array", of: "string", values: ["Ġ a"] },
    "tokenizer.ggml.scores": { type: "array", of: "f32", values: [0, -1, -2.5] },
    "tokenizer.ggml.unknown_token_id": u32(0),
    "tokenizer.ggml.add_bos_token": { type: "bool", value: true },
    "tokenizer.ggml.add_space_prefix": { type: "bool", value: false },
    "tokenizer.chat_template": string("{{ messages }}"),
  };

  test("is read as stored", () => {
    expect(readGgufTokenizerMetadata(tiny({ metadata: vocabulary }))).toEqual({
      model: "gpt2",
      pre: "smollm",
      tokens: ["<unk>", "Ġa", "é€😀"],
      tokenTypes: [2, 1, 1],
      merges: ["Ġ a"],
      scores: [0, -1, -2.5],
      bosTokenId: 1,
      eosTokenId: 2,
      unkTokenId: 0,
      addBos: true,
      addEos: null,
      addSpacePrefix: false,
      chatTemplate: "{{ messages }}",
    });
  });

  test("is undefined where there is none", () => {
    expect(readGgufTokenizerMetadata(tiny())).toBeUndefined();
  });

  test.each<[string, Record<string, Metadata>, RegExp]>([
    [
      "tokens that are numbers",
      { "tokenizer.ggml.tokens": { type: "array", of: "u8", values: [1] } },
      /tokens: is not an array of strings/,
    ],
    ["a model that is a number", { "tokenizer.ggml.model": u32(1) }, /model: is not a string/],
    [
      "types of another length",
      { "tokenizer.ggml.token_type": { type: "array", of: "i32", values: [1] } },
      /has 1 entries for 3 tokens/,
    ],
    ["an id past the vocabulary", { "tokenizer.ggml.bos_token_id": u32(3) }, /is 3; the vocabulary has 3 tokens/],
  ])("refuses %s", async (_name, change, text) => {
    await expectFailure(
      () => readGgufTokenizerMetadata(tiny({ metadata: { ...vocabulary, ...change } })),
      "CHECKPOINT_CORRUPT",
      text,
    );
  });
});

test("@huggingface/gguf reads the same metadata and tensors", async () => {
  const path = tiny({
    architecture: "qwen3",
    type: "Q8_0",
    metadata: { "tokenizer.ggml.tokens": { type: "array", of: "string", values: ["a", "bc", "déf"] } },
  });
  const theirs = await secondOpinion(path, { allowLocalFile: true });
  const ours = openGguf(path);
  for (const [key, value] of ours.metadata)
    expect(typeof value === "object" ? ours.strings(key) : value, key).toEqual(
      theirs.metadata[key as keyof typeof theirs.metadata],
    );
  expect([...ours.tensors.values()].map((t) => [t.storedName, t.offset, [...t.shape].reverse().map(BigInt)])).toEqual(
    theirs.tensorInfos.map((t) => [t.name, Number(theirs.tensorDataOffset + t.offset), t.shape]),
  );
  ours.close();
});
