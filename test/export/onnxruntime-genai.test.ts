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
import { type ChoiceSet, compactDraft, expandDraft, targetChoices } from "../../src/schema/choice.js";
import type { Device } from "../../src/schema/common.js";
import { greatestDifference, openTiny, randomChoices, tokens } from "../runtime/support.js";
import { expectFailure } from "../support/failure.js";
import { integers, openGraph, zeros } from "../support/graph-session.js";
import { handPlan } from "../support/plans.js";
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

async function exported(model: TinyModel, choices: ChoiceSet, draftTokens = 4, device?: Partial<Device>) {
  const source = writeTinyCheckpoint(temporaryFolder(), model);
  writeFileSync(join(source, "tokenizer.json"), "{}");
  writeFileSync(join(source, "tokenizer_config.json"), '{"tokenizer_class": "PreTrainedTokenizerFast"}');
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
  const output = join(temporaryFolder(), "out");
  const document = await exportPlan(
    {
      plan: {
        document: { ...plan, ...(device && { device: { ...DEVICE, ...device } }) },
        path: join(source, "plan.yaml"),
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
  const { output, document } = await exported({ seed: 1 }, targetChoices(2));
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
  const { config, document } = await exported({ seed: 1 }, targetChoices(2), 4, { provider });
  const { decoder, draft } = config.model;
  expect(draft.session_options).toEqual(decoder.session_options);
  expect(decoder.session_options.provider_options).toEqual(options);
  expect(decoder.session_options.intra_op_num_threads).toBe(threads);
  if (says !== null) expect(document.notes.join("\n")).toMatch(says);
});

test("more tokens a round than genai drafts are refused, by segment", async () => {
  const draft = { at: "plan.yaml: segments[2]", draftTokens: 17 } as PlannedDraft;
  const express = () => onnxruntimeGenai.express?.(draft, {} as ExportModel);
  await expectFailure(express, "EXPORT_UNSUPPORTED", /segments\[2\]\.draft_tokens.*17.*at most 16/s);
  expect(onnxruntimeGenai.express?.({ ...draft, draftTokens: 16 }, {} as ExportModel)).toBeUndefined();
});
