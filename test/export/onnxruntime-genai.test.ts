/** An exported folder, run as an engine would that knows nothing but genai_config.json. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { onnxruntimeGenai } from "../../src/export/engines/onnxruntime-genai.js";
import type { PlannedDraft } from "../../src/export/exporter.js";
import type { ExportModel } from "../../src/export/model.js";
import { openCheckpoint } from "../../src/model/open.js";
import { exportPlan } from "../../src/pipeline/export/export-plan.js";
import { loadModel } from "../../src/runtime/load.js";
import { type ChoiceSet, compactDraft, expandDraft, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import type { Device } from "../../src/schema/common.js";
import type { DrafterRef } from "../../src/schema/drafter.js";
import { greatestDifference, openTiny, randomChoices, tokens } from "../runtime/support.js";
import { expectFailure } from "../support/failure.js";
import { integers, openGraph, zeros } from "../support/graph-session.js";
import { handPlan } from "../support/plans.js";
import { writeCodedGguf } from "../support/quantised-gguf.js";
import { type TinyModel, temporaryFolder, tinySpec, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const TOLERANCE = 1e-4;

interface DecoderConfig {
  filename: string;
  head_size: number;
  num_key_value_heads: number;
  num_hidden_layers: number;
  inputs: Record<"input_ids" | "attention_mask" | "past_key_names" | "past_value_names", string>;
  outputs: Record<"logits" | "present_key_names" | "present_value_names", string>;
  session_options: { provider_options: unknown[]; intra_op_num_threads?: number };
}
interface GenaiConfig {
  model: {
    vocab_size: number;
    eos_token_id: number[];
    pad_token_id: number;
    decoder: DecoderConfig;
    draft: DecoderConfig;
  };
  search: { max_length: number; past_present_share_buffer: boolean };
  speculative: { max_draft_tokens: number };
}

const DEVICE: Device = { processor: "p", provider: "cpu", threads: 3, runtime: "r", platform: "p" };

interface Asked {
  draftTokens?: number;
  device?: Partial<Device>;
  /** instead of the model's own blocks */
  drafter?: DrafterRef;
}

const exported = (model: TinyModel, choices: ChoiceSet, asked: Asked = {}) =>
  exportedFrom(writeTinyCheckpoint(temporaryFolder(), model), choices, asked);

async function exportedFrom(source: string, choices: ChoiceSet, { draftTokens = 4, device, drafter }: Asked) {
  const { spec, architectureSha256, weightsSha256, close } = await openCheckpoint(source);
  close();
  const draft = compactDraft(choices);
  const plan = handPlan({
    name: spec.name,
    layers: spec.layers,
    architectureSha256,
    weightsSha256,
    draft,
    draftTokens,
  });
  if (drafter !== undefined) plan.segments = plan.segments.map(({ draft: _, ...segment }) => ({ ...segment, drafter }));
  const output = join(temporaryFolder(), "out");
  const document = await exportPlan(
    {
      plan: {
        document: { ...plan, ...(device && { device: { ...DEVICE, ...device } }) },
        path: join(temporaryFolder(), "plan.yaml"),
        sha256: "0".repeat(64),
      },
      to: "onnxruntime-genai",
      model: source,
      output,
    },
    { progress: silentProgress },
  );
  const config = JSON.parse(readFileSync(join(output, "genai_config.json"), "utf8")) as GenaiConfig;
  return { output, document, config };
}

/** One prompt and two steps, past and present in one buffer as `past_present_share_buffer` has it. @returns last rows */
function lastLogits(
  folder: string,
  { model: { vocab_size }, search }: GenaiConfig,
  decoder: DecoderConfig,
  ids: number[],
) {
  const session = openGraph(join(folder, decoder.filename));
  const { inputs, outputs, num_hidden_layers: layers } = decoder;
  const named = (template: string, i: number) => template.replace("%d", String(i));
  const caches = Array.from({ length: 2 * layers }, () =>
    zeros([1, decoder.num_key_value_heads, search.max_length, decoder.head_size]),
  );
  const pairs = (keys: string, values: string) =>
    Object.fromEntries(caches.map((cache, i) => [named(i % 2 === 0 ? keys : values, i >> 1), cache]));
  const rows: Float32Array[] = [];
  let position = 0;
  for (const count of [ids.length - 2, 1, 1]) {
    const isPruned = decoder.filename === "draft.onnx";
    const logits = zeros([1, isPruned ? 1 : count, vocab_size]);
    session.run(
      {
        [inputs.input_ids]: integers(ids.slice(position, position + count)),
        [inputs.attention_mask]: integers(new Array<number>(position + count).fill(1)),
        ...pairs(inputs.past_key_names, inputs.past_value_names),
      },
      { [outputs.logits]: logits, ...pairs(outputs.present_key_names, outputs.present_value_names) },
    );
    rows.push((logits.data as Float32Array).subarray(-vocab_size));
    position += count;
  }
  session.close();
  return rows;
}

test.each<[string, TinyModel]>([
  ["llama", { seed: 1, layers: 4, headDim: 16 }],
  ["mistral with a window", { seed: 7, layers: 4, headDim: 16, architecture: "mistral", slidingWindow: 6 }],
  ["qwen2", { seed: 8, layers: 4, headDim: 16, architecture: "qwen2" }],
  ["qwen3, heads of 12", { seed: 13, layers: 4, headDim: 12, architecture: "qwen3" }],
])("target and draft give the engine's logits: %s", async (_name, model) => {
  const spec = tinySpec(model);
  const choices: ChoiceSet = { ...randomChoices(11, spec.layers, ["target", "skip", "int8", "int4"]), head: "int8" };
  const { output, document, config } = await exported(model, choices);
  expect(config.search.past_present_share_buffer).toBe(true);
  expect(config.speculative.max_draft_tokens).toBe(4);
  expect(config.model.eos_token_id).toEqual(spec.eosTokenIds);
  expect(document.notes.join(" ").includes("window of 6")).toBe(spec.slidingWindow !== null);
  const engine = await openTiny(model);
  const ids = tokens(3, 14, spec.vocabSize);
  for (const [decoder, set] of [
    [config.model.decoder, targetChoices(spec.layers)],
    [config.model.draft, expandDraft(compactDraft(choices), spec.layers, "draft")],
  ] as const) {
    let position = 0;
    for (const row of lastLogits(output, config, decoder, ids)) {
      const input = position === 0 ? ids.slice(0, -2) : [ids[position]];
      const { logits } = engine.run({ position, input, choices: set, logitRows: 1 });
      expect(greatestDifference(row, logits), decoder.filename).toBeLessThanOrEqual(TOLERANCE);
      position += input.length;
    }
  }
  engine.close();
});

test("the tokenizer's files lie beside, and every file is named", async () => {
  const source = writeTinyCheckpoint(temporaryFolder(), { seed: 1 });
  writeFileSync(join(source, "tokenizer.json"), "{}");
  writeFileSync(join(source, "tokenizer_config.json"), '{"tokenizer_class": "PreTrainedTokenizerFast"}');
  const { output, document } = await exportedFrom(source, targetChoices(2), {});
  const expected = ["draft.onnx", "genai_config.json", "model.onnx", "model.onnx.data", "README.md"];
  expect(document.files.map(({ path }) => path)).toEqual(
    [...expected, "tokenizer.json", "tokenizer_config.json"].sort(),
  );
  expect(readdirSync(output)).toHaveLength(document.files.length + 1);
});

test.each<{ provider: string; options: unknown[]; threads: number | undefined; says: RegExp | null }>([
  { provider: "cpu", options: [], threads: 3, says: null },
  { provider: "cuda", options: [{ cuda: {} }], threads: undefined, says: /tried on the CPU only/ },
  { provider: "webgpu", options: [{ WebGPU: {} }], threads: undefined, says: /tried on the CPU only/ },
  { provider: "abacus", options: [], threads: 3, says: /made for abacus, and the files are for the CPU/ },
])("a plan for $provider: target and draft have one provider", async ({ provider, options, threads, says }) => {
  const { config, document } = await exported({ seed: 1 }, targetChoices(2), { device: { provider } });
  const { decoder, draft } = config.model;
  expect(draft.session_options).toEqual(decoder.session_options);
  expect(decoder.session_options.provider_options).toEqual(options);
  expect(decoder.session_options.intra_op_num_threads).toBe(threads);
  if (says !== null) expect(document.notes.join("\n")).toMatch(says);
});

const refusal = (draft: Partial<PlannedDraft>) =>
  onnxruntimeGenai.express?.(
    { at: "plan.yaml: segments[2]", draftTokens: 4, drafter: { kind: "self" }, ...draft } as PlannedDraft,
    { spec: tinySpec() } as ExportModel,
  );
const lookup = (min: number, max: number): DrafterRef => ({ kind: "lookup", ngram_tokens: { min, max } });

test("more tokens a round than genai drafts are refused, by segment", async () => {
  const express = () => refusal({ draftTokens: 17 });
  await expectFailure(express, "EXPORT_UNSUPPORTED", /segments\[2\]\.draft_tokens.*17.*at most 16/s);
  expect(refusal({ draftTokens: 16 })).toBeUndefined();
});

test("a model without an end token is refused: genai makes no generator for it", async () => {
  const run = () => exported({ seed: 1, eosTokenIds: [] }, targetChoices(2));
  await expectFailure(run, "EXPORT_UNSUPPORTED", /no end token/);
});

test("n-grams longer than genai looks up are refused", async () => {
  await expectFailure(() => refusal({ drafter: lookup(16, 16) }), "EXPORT_UNSUPPORTED", /ngram_tokens.*at most 15/s);
  expect(refusal({ drafter: lookup(15, 16) })).toBeUndefined();
});

test("a lookup is a setting of the target alone: ngram_size counts the token looked for too", async () => {
  const { output, config, document } = await exported({ seed: 1 }, targetChoices(2), { drafter: lookup(3, 5) });
  expect(config.speculative).toMatchObject({ ngram_size: 4, ngram_chained_lookup: true, max_draft_tokens: 4 });
  expect(config.model).not.toHaveProperty("draft");
  expect(readdirSync(output).filter((name) => name.startsWith("draft"))).toEqual([]);
  expect(document.notes.join(" ")).toMatch(/one length, 3 tokens/);
});

const refOf = async (path: string, kernel: "target" | "int8"): Promise<DrafterRef> => {
  const { spec, weightsSha256, close } = await openCheckpoint(path);
  close();
  return { kind: "model", name: spec.name, weights_sha256: weightsSha256, path, kernel };
};

test("another checkpoint drafts with its own shape, weights and kernel", async () => {
  const small: TinyModel = { seed: 5, layers: 1, hidden: 48, heads: 3, kvHeads: 1, headDim: 16 };
  const drafter = await refOf(writeTinyCheckpoint(temporaryFolder(), small), "int8");
  const { output, config } = await exported({ seed: 1, layers: 3, headDim: 16 }, targetChoices(3), { drafter });
  expect(config.model.draft).toMatchObject({ num_hidden_layers: 1, num_key_value_heads: 1 });
  const engine = await openTiny(small);
  const ids = tokens(3, 14, 64);
  const [row] = lastLogits(output, config, config.model.draft, ids);
  const choices = uniformChoices(1, "int8");
  const { logits } = engine.run({ position: 0, input: ids.slice(0, -2), choices, logitRows: 1 });
  expect(greatestDifference(row, logits)).toBeLessThanOrEqual(TOLERANCE);
  engine.close();
});

test("another checkpoint is refused where its vocabulary has another size, or it is not the plan's", async () => {
  const larger = await refOf(writeTinyCheckpoint(temporaryFolder(), { seed: 2, vocab: 96 }), "target");
  const run = (drafter: DrafterRef) => exported({ seed: 1 }, targetChoices(2), { drafter });
  await expectFailure(() => run(larger), "EXPORT_UNSUPPORTED", /96 tokens and the model 64/);
  const same = await refOf(writeTinyCheckpoint(temporaryFolder(), { seed: 2 }), "target");
  const edited = { ...same, weights_sha256: "1".repeat(64) } as DrafterRef;
  await expectFailure(() => run(edited), "DOCUMENT_MISMATCH", /other weights than the plan/);
});

test("codes that a GGUF has already are taken over as they are, as in the plan's own decoder", async () => {
  const model: TinyModel = { seed: 4, layers: 2, hidden: 64, intermediate: 64, headDim: 32, heads: 2, kvHeads: 2 };
  const source = writeCodedGguf(join(temporaryFolder(), "coded.gguf"), model, () => "Q4_0");
  const choices = uniformChoices(2, "int4");
  const { output, config } = await exportedFrom(source, choices, {});
  const { engine, spec, close } = await loadModel(source, {
    provider: "cpu",
    threads: 1,
    capacity: 64,
    kernels: ["target", "int4"],
  });
  const ids = tokens(3, 14, spec.vocabSize);
  const [row] = lastLogits(output, config, config.model.draft, ids);
  const { logits } = engine.run({ position: 0, input: ids.slice(0, -2), choices, logitRows: 1 });
  expect(greatestDifference(row, logits)).toBeLessThanOrEqual(TOLERANCE);
  close();
});

test("the README's command puts what begins every text before the prompt: genai's tokenizer leaves it out", async () => {
  const { output, config } = await exportedFrom("embedded", uniformChoices(12, "int8"), {});
  expect(readFileSync(join(output, "README.md"), "utf8")).toContain("prompt = [0] + list(tokenizer.encode(");
  expect(config.model.pad_token_id).toBe(-1); // the embedded model's end token, 0, may end a prompt
});
