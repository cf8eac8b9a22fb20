import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { expectedTensors } from "../../src/model/formats/tensors.js";
import { locateModel, openCheckpoint } from "../../src/model/open.js";
import type { Checkpoint } from "../../src/model/spec.js";
import { expectFailure } from "../support/failure.js";
import type { TinyModel } from "../support/tiny-checkpoint.js";
import {
  temporaryFolder,
  tinySpec,
  tinyTensors,
  writeTinyCheckpoint,
  writeTinyGguf,
} from "../support/tiny-checkpoint.js";

const root = temporaryFolder();
let used = 0;
const fresh = (name = "tiny"): string => join(root, String(used++), name);
const sha256 = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");

function readAll(checkpoint: Checkpoint): Map<string, Float32Array> {
  return new Map([...expectedTensors(checkpoint.spec)].map(([name, shape]) => [name, checkpoint.tensor(name, shape)]));
}

/** Relative rounding of each type: half a unit in the last place it keeps. */
const ROUNDING = { F32: 0, F16: 2 ** -11, BF16: 2 ** -8 };

function expectClose(actual: Float32Array, expected: Float32Array, relative: number): void {
  expect(actual.length).toBe(expected.length);
  let worst = 0;
  for (let i = 0; i < actual.length; i++)
    worst = Math.max(worst, Math.abs(actual[i] - expected[i]) - relative * Math.abs(expected[i]));
  expect(worst).toBeLessThanOrEqual(1e-7); // what fp16 loses below its smallest normal number
}

const MODELS: [string, TinyModel][] = [
  ["llama", { architecture: "llama" }],
  [
    "llama with every bias and a head of its own",
    { architecture: "llama", attentionBias: true, mlpBias: true, tied: false },
  ],
  ["mistral", { architecture: "mistral", tied: false }],
  ["qwen2", { architecture: "qwen2", tied: false }],
  ["qwen3", { architecture: "qwen3", headDim: 16 }],
  ["one key/value head", { architecture: "llama", heads: 4, kvHeads: 1 }],
];

describe("a Hugging Face folder", () => {
  test.each(MODELS)("%s: every tensor as written", async (_name, model) => {
    const checkpoint = await openCheckpoint(writeTinyCheckpoint(fresh(), model));
    expect(checkpoint.spec).toEqual(tinySpec(model));
    for (const [name, { shape, values }] of tinyTensors(model))
      expect(checkpoint.tensor(name, shape), name).toEqual(values);
    checkpoint.close();
  });

  test.each(["F32", "F16", "BF16"] as const)("%s weights", async (dtype) => {
    const checkpoint = await openCheckpoint(writeTinyCheckpoint(fresh(), { dtype }));
    expect(Object.keys(checkpoint.storedTypes)).toEqual([dtype]);
    for (const [name, { shape, values }] of tinyTensors())
      expectClose(checkpoint.tensor(name, shape), values, ROUNDING[dtype]);
    checkpoint.close();
  });

  test("shards hold the same weights as one file, under a digest of their own", async () => {
    const directory = writeTinyCheckpoint(fresh(), { shards: 3 });
    const [single, sharded] = await Promise.all([
      openCheckpoint(writeTinyCheckpoint(fresh(), {})),
      openCheckpoint(directory),
    ]);
    expect(readAll(sharded)).toEqual(readAll(single));
    expect(sharded.architectureSha256).toBe(single.architectureSha256);
    const names = [1, 2, 3].map((n) => `model-0000${n}-of-00003.safetensors`);
    expect(sharded.weightsSha256).toBe(
      sha256(names.map((n) => `${n}\0${sha256(readFileSync(join(directory, n)))}\n`).join("")),
    );
    single.close();
    sharded.close();
  });

  test("one file's digest is what sha256sum prints", async () => {
    const directory = writeTinyCheckpoint(fresh(), {});
    const checkpoint = await openCheckpoint(directory);
    expect(checkpoint.weightsSha256).toBe(sha256(readFileSync(join(directory, "model.safetensors"))));
    checkpoint.close();
  });

  test("linked files, as in the Hugging Face cache", async () => {
    const directory = writeTinyCheckpoint(fresh(), {});
    renameSync(join(directory, "model.safetensors"), join(directory, "..", "blob"));
    symlinkSync("../blob", join(directory, "model.safetensors"));
    (await openCheckpoint(directory)).close();
  });
});

describe("a GGUF file", () => {
  test.each(MODELS)("%s: the weights of the Hugging Face folder, rows of q and k put back", async (_name, model) => {
    const checkpoint = await openCheckpoint(writeTinyGguf(`${fresh()}.gguf`, model));
    const architecture = model.architecture === "mistral" ? "llama" : (model.architecture ?? "llama");
    expect(checkpoint.spec).toEqual({ ...tinySpec(model), architecture });
    for (const [name, { shape, values }] of tinyTensors(model))
      expect(checkpoint.tensor(name, shape), name).toEqual(values);
    checkpoint.close();
  });

  test.each(["F16", "BF16"] as const)("%s weights", async (type) => {
    const checkpoint = await openCheckpoint(writeTinyGguf(`${fresh()}.gguf`, { type }));
    expect(checkpoint.storedTypes).toEqual({ [type]: 15, F32: 5 });
    for (const [name, { shape, values }] of tinyTensors())
      expectClose(checkpoint.tensor(name, shape), values, ROUNDING[type]);
    checkpoint.close();
  });

  test("Q8_0 weights lie within half a step of their block's largest", async () => {
    const checkpoint = await openCheckpoint(writeTinyGguf(`${fresh()}.gguf`, { type: "Q8_0" }));
    for (const [name, { shape, values }] of tinyTensors()) {
      const largest = values.reduce((max, v) => Math.max(max, Math.abs(v)), 0);
      const read = checkpoint.tensor(name, shape);
      const worst = values.reduce((max, v, i) => Math.max(max, Math.abs(v - read[i])), 0);
      expect(worst).toBeLessThanOrEqual(largest * (0.5 / 127 + 2 ** -11));
    }
    checkpoint.close();
  });

  test("one model has one architecture digest in both formats", async () => {
    const model: TinyModel = { rmsEps: 1e-5, theta: 500000 };
    const [hf, gguf] = await Promise.all([
      openCheckpoint(writeTinyCheckpoint(fresh(), model)),
      openCheckpoint(writeTinyGguf(`${fresh()}.gguf`, model)),
    ]);
    expect(gguf.architectureSha256).toBe(hf.architectureSha256);
    hf.close();
    gguf.close();
  });
});

describe("embedded", () => {
  test("is the model in models/", async () => {
    const checkpoint = await openCheckpoint("embedded");
    expect(checkpoint.source).toBe("embedded");
    expect(checkpoint.spec).toMatchObject({ name: "union-10m", layers: 12, hiddenSize: 256, vocabSize: 4096 });
    expect(checkpoint.storedTypes).toEqual({ F16: 110 });
    const norm = checkpoint.tensor("model.norm.weight", [256]);
    expect(norm.every((v) => v > 0 && v < 100)).toBe(true);
    checkpoint.close();
  });

  test("lies where src and dist both find it", () => {
    const { path } = locateModel("embedded");
    expect(path).toBe(fileURLToPath(new URL("../../models/union-10m", import.meta.url)));
    expect(existsSync(join(path, "tokenizer.json"))).toBe(true);
  });
});

describe("reading", () => {
  test("gives a new array each time", async () => {
    const checkpoint = await openCheckpoint(writeTinyCheckpoint(fresh(), {}));
    const first = checkpoint.tensor("model.norm.weight", [32]);
    first.fill(0);
    expect(checkpoint.tensor("model.norm.weight", [32])).not.toEqual(first);
    checkpoint.close();
  });

  test("takes the embedding for a tied head", async () => {
    const checkpoint = await openCheckpoint(writeTinyCheckpoint(fresh(), { tied: true }));
    expect(checkpoint.tensor("lm_head.weight", [64, 32])).toEqual(
      checkpoint.tensor("model.embed_tokens.weight", [64, 32]),
    );
    checkpoint.close();
  });

  test("refuses a wrong shape and an unknown name", async () => {
    const checkpoint = await openCheckpoint(writeTinyCheckpoint(fresh(), {}));
    await expectFailure(
      () => checkpoint.tensor("model.norm.weight", [33]),
      "TENSOR_SHAPE",
      /has shape \[32\].* asks for \[33\]/,
    );
    await expectFailure(
      () => checkpoint.tensor("model.layers.9.mlp.up_proj.weight", [64, 32]),
      "TENSOR_MISSING",
      /layers\.9/,
    );
    checkpoint.close();
  });

  test.each([
    ["safetensors", () => join(writeTinyCheckpoint(fresh(), {}), "model.safetensors")],
    ["gguf", () => writeTinyGguf(`${fresh()}.gguf`, {})],
  ])("notices a %s file that became shorter", async (format, make) => {
    const file = make();
    const checkpoint = await openCheckpoint(format === "gguf" ? file : join(file, ".."));
    truncateSync(file, readFileSync(file).length - 5000);
    await expectFailure(() => readAll(checkpoint), "CHECKPOINT_CORRUPT", /the file ends at byte/);
    checkpoint.close();
  });

  test("fails after close, which may be called twice", async () => {
    const checkpoint = await openCheckpoint(writeTinyCheckpoint(fresh(), {}));
    checkpoint.close();
    checkpoint.close();
    await expectFailure(() => checkpoint.tensor("model.norm.weight", [32]), "INTERNAL", /was closed/);
  });
});

describe("what is no model", () => {
  test("nothing at the path", async () => {
    await expectFailure(() => openCheckpoint(join(root, "missing")), "FILE_NOT_FOUND", /missing: no such file/);
    await expectFailure(() => openCheckpoint(""), "FILE_NOT_FOUND", /no such file/);
  });

  test.each<[string, (path: string) => void, RegExp]>([
    ["an empty folder", (path) => mkdirSync(path, { recursive: true }), /no config\.json/],
    ["a text file", (path) => put(path, "hello"), /not a GGUF file/],
    ["an empty file", (path) => put(path, ""), /not a GGUF file/],
  ])("%s", async (_name, make, text) => {
    const path = fresh();
    make(path);
    await expectFailure(() => openCheckpoint(path), "MODEL_NOT_RECOGNISED", text);
  });

  test("a config.json without its folder", async () => {
    const directory = writeTinyCheckpoint(fresh(), {});
    await expectFailure(
      () => openCheckpoint(join(directory, "config.json")),
      "MODEL_NOT_RECOGNISED",
      /a configuration without weights/,
    );
  });

  test("a .gguf that is a Git LFS pointer", async () => {
    const path = fresh("model.gguf");
    put(path, "version https://git-lfs.github.com/spec/v1\n");
    await expectFailure(() => openCheckpoint(path), "MODEL_NOT_RECOGNISED", /Git LFS pointer/);
  });

  test("a device", async () => {
    await expectFailure(
      () => openCheckpoint("/dev/null"),
      "MODEL_NOT_RECOGNISED",
      /neither a folder nor a regular file/,
    );
  });

  test("a folder without weights", async () => {
    const directory = writeTinyCheckpoint(fresh(), {});
    rmSync(join(directory, "model.safetensors"));
    await expectFailure(() => openCheckpoint(directory), "FILE_NOT_FOUND", /neither model\.safetensors nor/);
  });

  test("weights of another model", async () => {
    await expectFailure(
      () => openCheckpoint(writeTinyCheckpoint(fresh(), { config: { num_hidden_layers: 3 } })),
      "TENSOR_MISSING",
      /layers\.2\./,
    );
    await expectFailure(
      () => openCheckpoint(writeTinyCheckpoint(fresh(), { config: { vocab_size: 65 } })),
      "TENSOR_SHAPE",
      /embed_tokens/,
    );
    await expectFailure(
      () => openCheckpoint(writeTinyCheckpoint(fresh(), { config: { num_hidden_layers: 1 } })),
      "ARCHITECTURE_UNSUPPORTED",
      /layers\.1\./,
    );
    await expectFailure(
      () => openCheckpoint(writeTinyCheckpoint(fresh(), { attentionBias: true, config: { attention_bias: false } })),
      "ARCHITECTURE_UNSUPPORTED",
      /bias/,
    );
  });
});

function put(path: string, text: string): void {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
}
