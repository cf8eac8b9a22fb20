/** Exports for vLLM, SGLang and TensorRT-LLM: what is written, and what is refused. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { tensorRtLengthAt, vllmLengthAt } from "../../src/export/servers/by-batch.js";
import { openSafetensors } from "../../src/model/formats/safetensors.js";
import { openHeadsCheckpoint } from "../../src/model/heads/open.js";
import { openCheckpoint } from "../../src/model/open.js";
import { readDocumentOf, stringifyDocument } from "../../src/schema/document.js";
import { lengthAt } from "../../src/schema/length-by-batch.js";
import type { Plan, Segment } from "../../src/schema/plan.js";
import { draftplan } from "../support/cli.js";
import { modelRefOf } from "../support/plans.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const ENGINES = ["vllm", "sglang", "tensorrt-llm"] as const;
type Block = Record<"attention" | "ffn", { no_op: boolean }>;
const folder = temporaryFolder();
const MODEL = writeTinyCheckpoint(join(folder, "model"), { layers: 5, tied: false, intermediate: 256 });
const SIZED = writeTinyCheckpoint(join(folder, "sized"), { layers: 5, tied: false, intermediate: 96 });
const QWEN = writeTinyCheckpoint(join(folder, "qwen"), { layers: 5, architecture: "qwen3", intermediate: 256 });

const STEPS = [
  { to: 4, draft_tokens: 3 },
  { to: 16, draft_tokens: 1 },
  { to: 32, draft_tokens: 0 },
];
const draft = (skip: string[], rest: Partial<Segment> = {}): Partial<Segment> => ({
  draft: { default: "target", head: "target", skip, choices: {} },
  draft_tokens: 3,
  ...rest,
});
const WHOLE = draft(["1.attn", "1.mlp", "3.attn", "3.mlp"]);
const SINGLE = draft(["1.attn", "1.mlp", "2.attn", "3.mlp"]);
const PREDICTED: Segment["predicted"] = {
  ...{ at_context: 32, acceptance: 0.7, acceptance_curve: [1, 0.8, 0.5, 0.4], accepted_length: 2.7 },
  ...{ draft_us: 10, verify_us: 40, round_us: 0, target_step_us: 40, tokens_per_second: 38571.4, speedup: 1.54286 },
  lp_gap_percent: 0,
};

let count = 0;
async function planOf(model: string, one: Partial<Segment>, over: Partial<Plan> = {}): Promise<string> {
  const plan: Plan = {
    ...{ kind: "draftplan/plan", version: 1, model: await modelRefOf(model) },
    ...over,
    segments: [{ context_tokens: { from: 0, to: 64 }, speculate: true, ...one }],
  };
  const path = join(folder, `plan-${++count}.yaml`);
  writeFileSync(path, stringifyDocument(plan));
  return path;
}

async function exported(engine: string, one: Partial<Segment>, { model = MODEL, over = {} } = {}) {
  const output = join(folder, `out-${++count}`);
  const plan = await planOf(model, one, over);
  const run = await draftplan(["export", plan, "--to", engine, "--model", model, "-o", output]);
  const text = (name: string) => readFileSync(join(output, name), "utf8");
  return {
    output,
    ...run,
    text,
    json: (name: string) => JSON.parse(text(name)),
    yaml: (name: string) => parse(text(name)),
  };
}

describe.each(ENGINES)("a draft of whole layers for %s", (engine) => {
  test("is a checkpoint of the layers that stay", async () => {
    const { output, code, json } = await exported(engine, WHOLE);
    expect(code).toBe(0);
    expect(json("config.json")).toMatchObject({ num_hidden_layers: 3, architectures: ["LlamaForCausalLM"] });
    expect([...openSafetensors(output).tensors.keys()].filter((name) => name.includes("layers.3"))).toEqual([]);
    const { document } = readDocumentOf("draftplan/export", join(output, "export.yaml"));
    expect(document).toMatchObject({ engine: { name: engine }, draft_tokens: 3 });
  });
});

describe.each(ENGINES)("a draft without single blocks for %s", (engine) => {
  test("is a DeciLM: layers without both are gone, and the others say what they lack", async () => {
    const { output, code, json, text } = await exported(engine, SINGLE);
    expect(code).toBe(0);
    const config = json("config.json");
    expect(config).toMatchObject({ architectures: ["DeciLMForCausalLM"], num_hidden_layers: 4 });
    expect(config.block_configs.map(({ attention, ffn }: Block) => [attention.no_op, ffn.no_op])).toEqual([
      [false, false],
      [true, false],
      [false, true],
      [false, false],
    ]);
    // as its readers count it
    const [{ ffn, attention }] = config.block_configs;
    const raw = Math.trunc((2 * ffn.ffn_mult * config.hidden_size) / 3);
    expect(256 * Math.ceil(raw / 256)).toBe(256);
    expect(config.num_attention_heads / attention.n_heads_in_group).toBe(config.num_key_value_heads);
    const names = [...openSafetensors(output).tensors.keys()];
    expect(names.filter((name) => /layers\.1\.(self_attn|input_layernorm)/.test(name))).toEqual([]);
    expect(names.filter((name) => /layers\.1\.(mlp|post_attention_layernorm)/.test(name)).length).toBe(4);
    expect(names.filter((name) => /layers\.2\.(mlp|post_attention_layernorm)/.test(name))).toEqual([]);
    expect(text("configuration_decilm.py")).toContain("class DeciLMConfig");
    expect(text("README.md").replaceAll("_", "-")).toMatch(/trust-remote-code|extra-llm-api-options/);
  });

  test.each([
    ["where the model is none of llama's shape", SINGLE, QWEN, /norms the heads of queries and keys/],
    ["where the first layer that stays lacks its attention", draft(["0.attn"]), MODEL, /begins with an attention/],
    ["where that layer is not the first", draft(["0.attn", "0.mlp", "1.attn"]), MODEL, /begins with an attention/],
  ])("is refused %s", async (_where, one, model, message) => {
    const { code, stderr } = await exported(engine, one, { model });
    expect(code).toBe(3);
    expect(stderr).toContain("EXPORT_UNSUPPORTED");
    expect(stderr).toMatch(message);
    expect(stderr).toContain(`--for ${engine}`);
  });
});

test("an MLP that is no multiple of 256 has a form in vLLM alone", async () => {
  const { code, json } = await exported("vllm", SINGLE, { model: SIZED });
  expect(code).toBe(0);
  const { ffn } = json("config.json").block_configs[0];
  expect([ffn.intermediate_size, "ffn_mult" in ffn]).toEqual([96, false]);
  for (const engine of ["sglang", "tensorrt-llm"]) {
    const refused = await exported(engine, SINGLE, { model: SIZED });
    expect([refused.code, refused.stderr.includes("multiple of 256")]).toEqual([3, true]);
  }
});

test.each(ENGINES)("quantised blocks are refused for %s by name", async (engine) => {
  const one = draft([], { draft: { default: "target", head: "target", skip: [], choices: { "2.mlp": "int8" } } });
  const { code, stderr } = await exported(engine, one);
  expect([code, /2\.mlp is int8/.test(stderr)]).toEqual([3, true]);
});

describe("configurations", () => {
  test("vLLM's has the method, the folder, and the lengths by batch", async () => {
    const { json, output, text } = await exported("vllm", draft(["1.attn", "1.mlp"], { draft_tokens_by_batch: STEPS }));
    const config = json("speculative_config.json");
    expect(config).toMatchObject({ method: "draft_model", model: output, num_speculative_tokens: 3 });
    for (let batch = 1; batch < 100; batch++)
      expect(vllmLengthAt(config.num_speculative_tokens_per_batch_size, config.num_speculative_tokens, batch)).toBe(
        lengthAt(STEPS, batch),
      );
    expect(text("README.md")).toContain("--speculative-config");
    expect(text("README.md")).not.toContain("synthetic");
  });

  test("vLLM's made-up acceptance is the predicted curve, without its first entry", async () => {
    const { json, text } = await exported("vllm", draft(["1.attn", "1.mlp"], { predicted: PREDICTED }), {
      over: { draft_cache: "own" },
    });
    expect(json("speculative_config.synthetic.json")).toMatchObject({
      ...{ method: "draft_model", num_speculative_tokens: 3, rejection_sample_method: "synthetic" },
      ...{ synthetic_acceptance_rates: [0.8, 0.5, 0.4], draft_load_config: { load_format: "dummy" } },
    });
    expect(text("README.md")).toContain("the predicted curve");
  });

  test("SGLang's has one length, and says that the others are lost", async () => {
    const { yaml, output, text } = await exported(
      "sglang",
      draft(["1.attn", "1.mlp"], { draft_tokens_by_batch: STEPS }),
    );
    expect(yaml("sglang.yaml")).toEqual({
      ...{ "speculative-algorithm": "STANDALONE", "speculative-draft-model-path": output },
      ...{ "speculative-num-steps": 3, "speculative-eagle-topk": 1, "speculative-num-draft-tokens": 4 },
      "speculative-draft-model-quantization": "unquant",
    });
    expect(text("README.md")).toContain("1 to 4: 3, 5 to 16: 1, 17 to 32: 0");
    expect(text("README.md")).toContain("--speculative-num-steps 3");
  });

  test("TensorRT-LLM's has upper ends of batches", async () => {
    const { yaml, output } = await exported(
      "tensorrt-llm",
      draft(["1.attn", "1.mlp"], { draft_tokens_by_batch: STEPS }),
    );
    const config = yaml("config.yaml");
    expect(config).toEqual({
      disable_overlap_scheduler: true,
      speculative_config: {
        ...{ decoding_type: "Draft_Target", max_draft_len: 3, draft_len_schedule: { 4: 3, 16: 1 } },
        speculative_model: output,
      },
    });
    for (let batch = 1; batch < 100; batch++)
      expect(tensorRtLengthAt(config.speculative_config.draft_len_schedule, batch)).toBe(lengthAt(STEPS, batch));
  });

  test("of a lookup name its n-grams, and there is no checkpoint", async () => {
    const lookup: Partial<Segment> = { drafter: { kind: "lookup", ngram_tokens: { min: 2, max: 5 } }, draft_tokens: 6 };
    const vllm = await exported("vllm", lookup);
    expect(vllm.json("speculative_config.json")).toEqual({
      ...{ method: "ngram", prompt_lookup_min: 2, prompt_lookup_max: 5, num_speculative_tokens: 6 },
    });
    const sglang = await exported("sglang", lookup);
    expect(sglang.yaml("sglang.yaml")).toMatchObject({
      "speculative-algorithm": "NGRAM",
      "speculative-num-draft-tokens": 7,
    });
    const tensorrt = await exported("tensorrt-llm", lookup);
    expect(tensorrt.yaml("config.yaml").speculative_config).toMatchObject({
      ...{ decoding_type: "NGram", max_draft_len: 6, max_matching_ngram_size: 5 },
    });
    for (const { output } of [vllm, sglang, tensorrt]) {
      const { document } = readDocumentOf("draftplan/export", join(output, "export.yaml"));
      expect(document.files.some(({ path }) => path.endsWith(".safetensors"))).toBe(false);
    }
  });
});

describe("another model that drafts", () => {
  const model = (kernel: "target" | "int8"): Partial<Segment> => ({
    drafter: { kind: "model", name: "small", weights_sha256: "a".repeat(64), path: "small", kernel },
    draft_tokens: 2,
  });

  test.each(ENGINES)("is named by its own folder: %s", async (engine) => {
    const { code, output, text } = await exported(engine, model("target"));
    expect(code).toBe(0);
    const file = { vllm: "speculative_config.json", sglang: "sglang.yaml", "tensorrt-llm": "config.yaml" }[engine];
    expect(text(file)).toContain(join(folder, "small"));
    expect(readDocumentOf("draftplan/export", join(output, "export.yaml")).document.files.length).toBe(2);
  });

  test.each(ENGINES)("is refused where the plan quantises it: %s", async (engine) => {
    const { code, stderr } = await exported(engine, model("int8"));
    expect([code, /int8/.test(stderr)]).toEqual([3, true]);
  });
});

describe("Medusa heads for vLLM", () => {
  const HEADS = join(process.cwd(), "models", "union-10m", "medusa-heads");
  let sha256 = "";
  beforeAll(async () => {
    const heads = await openHeadsCheckpoint(HEADS);
    sha256 = heads.sha256;
    heads.close();
    mkdirSync(folder, { recursive: true });
  });
  const heads = (tree: number[][]): Partial<Segment> => ({
    drafter: { kind: "heads", path: HEADS, sha256, tree },
    draft_tokens: 2,
    predicted: { ...(PREDICTED as NonNullable<typeof PREDICTED>), acceptance_curve: [1, 0.6, 0.3] },
  });

  test("come with the model's own LM head, and draft a chain", async () => {
    const { code, json, output, stderr } = await exported("vllm", heads([[0], [0, 0]]), { model: "embedded" });
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(json("speculative_config.json")).toEqual({ method: "medusa", model: output, num_speculative_tokens: 2 });
    const written = await openHeadsCheckpoint(output);
    expect(written.spec).toMatchObject({ kind: "medusa", heads: 4, lmHead: "one", lmHeadRows: 4096 });
    const [given, model] = [await openHeadsCheckpoint(HEADS), await openCheckpoint("embedded")];
    const shape = [256, 256];
    expect(written.tensor("block.3.0.weight", shape)).toEqual(given.tensor("block.3.0.weight", shape));
    const rows = [4096, 256];
    expect(written.tensor("lm_head.weight", rows)).toEqual(model.tensor("model.embed_tokens.weight", rows));
    for (const opened of [written, given, model]) opened.close();
    const { document } = readDocumentOf("draftplan/export", join(output, "export.yaml"));
    expect(document.predicted?.acceptance_curve).toEqual([1, 0.6, 0.3]);
  });

  test("lose a tree, and what it predicts", async () => {
    const { output, text } = await exported("vllm", heads([[0], [1], [0, 0]]), { model: "embedded" });
    const { document } = readDocumentOf("draftplan/export", join(output, "export.yaml"));
    expect(document.predicted).toBeNull();
    expect(text("README.md")).toContain("the plan's tree is lost");
  });

  test.each(["sglang", "tensorrt-llm"])("have no form in %s", async (engine) => {
    const { code, stderr } = await exported(engine, heads([[0], [0, 0]]), { model: "embedded" });
    expect([code, /heads drafts here/.test(stderr)]).toEqual([3, true]);
  });
});
