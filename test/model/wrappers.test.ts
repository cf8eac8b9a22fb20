/**
 * Multimodal models around a text model (fixtures/wrappers): from text alone, logits and greedy ids are those of the whole
 * model in transformers; its other parts are left out, and that is said.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { decode } from "../../src/decode/loop.js";
import { openExportModel } from "../../src/export/open-model.js";
import { ARCHITECTURE_LIST } from "../../src/model/architectures/list.js";
import { readHfConfig } from "../../src/model/formats/hf-config.js";
import { expectedTensors } from "../../src/model/formats/tensors.js";
import { openCheckpoint } from "../../src/model/open.js";
import { modelFactsAt } from "../../src/pipeline/model-facts.js";
import { systemClock } from "../../src/runtime/device.js";
import { loadModel } from "../../src/runtime/load.js";
import { targetChoices } from "../../src/schema/choice.js";
import { forward } from "../oracle/transformer.js";
import { greatestDifference } from "../runtime/support.js";
import { tensorValues } from "../support/architectures.js";
import { expectFailure } from "../support/failure.js";
import { safetensorsBytes } from "../support/safetensors-bytes.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

interface Case {
  name: string;
  norms_less: number;
  ids: number[];
  logits: number[];
  greedy: number[];
  tensors: Record<string, number[]>;
  config: Record<string, unknown>;
}
interface Published {
  config: object;
  sizes: Record<string, number | null>;
  rope: unknown;
  layer_types: string[] | null;
}
const FILE = fileURLToPath(new URL("../fixtures/wrappers/wrappers.json", import.meta.url));
const { cases, published, defaults } = JSON.parse(readFileSync(FILE, "utf8")) as {
  cases: Case[];
  published: Record<string, Published>;
  defaults: Record<string, object>;
};

function write({ tensors, config, norms_less: less }: Case, without: string[] = []): string {
  const folder = join(temporaryFolder(), "tiny");
  mkdirSync(folder);
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const stored = Object.entries(tensors).filter(([name]) => !without.includes(name));
  const bytes = new Map(
    stored.map(([name, shape]) => {
      const { buffer } = tensorValues(name, shape, less);
      return [name, { dtype: "F32", shape, bytes: new Uint8Array(buffer) }] as const;
    }),
  );
  writeFileSync(join(folder, "model.safetensors"), safetensorsBytes(bytes));
  return folder;
}

function writeConfig(config: object): string {
  const path = join(temporaryFolder(), "config.json");
  writeFileSync(path, JSON.stringify(config));
  return path;
}

const AROUND = /vision|connector|projector|image_newline/;
const [LLAVA] = cases;

describe.each(cases)("$name", (golden) => {
  const leftOut = Object.keys(golden.tensors).filter((name) => AROUND.test(name)).length;

  test("the twin's logits are the whole model's, and what is left out is counted", async () => {
    const checkpoint = await openCheckpoint(write(golden));
    const { spec, wrapper } = checkpoint;
    const shapes = expectedTensors(spec);
    const twin = forward(spec, (name) => checkpoint.tensor(name, shapes.get(name) ?? []), golden.ids);
    checkpoint.close();
    expect(greatestDifference(twin.logits[golden.ids.length - 1], golden.logits)).toBeLessThan(5e-4);
    expect(wrapper).toEqual({ className: (golden.config.architectures as string[])[0], leftOut });
  });

  const isFirst = cases.find(({ name }) => name.split(",")[0] === golden.name.split(",")[0]) === golden;
  test.runIf(isFirst)("the engine's logits and greedy ids are the whole model's", async () => {
    const warned: string[] = [];
    const progress = {
      tick: async () => {},
      warn: (...said: string[]) => void warned.push(said.join(": ")),
      note: () => {},
    };
    const { engine, spec, close } = await loadModel(
      write(golden),
      { provider: "cpu", threads: 1, capacity: 48 },
      progress,
    );
    try {
      const { ids, logits, greedy } = golden;
      const run = engine.run({ position: 0, input: ids, choices: targetChoices(spec.layers), logitRows: 1 });
      expect(greatestDifference(run.logits, logits)).toBeLessThan(0.002);
      const options = { maxTokens: greedy.length, endTokens: [], policy: null, clock: systemClock };
      expect((await decode(engine, ids, options)).ids).toEqual(greedy);
      expect(warned.join()).toMatch(new RegExp(`TEXT_ONLY: .*ForConditionalGeneration.*${leftOut} tensors`));
    } finally {
      close();
    }
  });
});

describe("what a text_config leaves out is as in transformers' class", () => {
  test.each(Object.entries(published))("%s", (_name, { config, sizes, rope, layer_types: types }) => {
    const spec = readHfConfig(writeConfig(config));
    expect({
      vocab_size: spec.vocabSize,
      hidden_size: spec.hiddenSize,
      intermediate_size: spec.intermediateSize,
      num_hidden_layers: spec.layers,
      num_attention_heads: spec.heads,
      num_key_value_heads: spec.kvHeads,
      head_dim: spec.headDim,
      max_position_embeddings: spec.contextLimit,
      rms_norm_eps: spec.rmsEps,
    }).toMatchObject(Object.fromEntries(Object.entries(sizes).filter(([key]) => key !== "sliding_window")));
    if (types === null) expect(spec.slidingWindow).toBe(sizes.sliding_window);
    else
      expect(spec.layerWindows).toEqual(
        types.map((type) => (type === "sliding_attention" ? sizes.sliding_window : null)),
      );
    const { full_attention: full = rope, sliding_attention: sliding } = rope as Record<string, never>;
    expect(spec.rope.theta).toBe((full as { rope_theta: number }).rope_theta);
    expect(spec.rope.scaling?.type ?? "default").toBe((full as { rope_type: string }).rope_type);
    if (sliding !== undefined) expect(spec.windowedRope?.theta).toBe((sliding as { rope_theta: number }).rope_theta);
  });

  test.each(Object.entries(defaults))("%s", (type, sizes) => {
    const found = ARCHITECTURE_LIST.find(({ name, ...rest }) => ("modelType" in rest ? rest.modelType : name) === type);
    expect(found?.sizes).toEqual(sizes);
  });

  test("end tokens of the whole and of the text model are both kept", () => {
    const { config } = published["google/gemma-3-4b-it"];
    expect(readHfConfig(writeConfig(config)).eosTokenIds).toEqual([1, 106]);
  });
});

test("where nothing is said of a tied head, the files tell", async () => {
  const { tie_word_embeddings: _top, text_config: text, ...config } = LLAVA.config;
  const { tie_word_embeddings: _inner, ...rest } = text as Record<string, unknown>;
  const unsaid = { ...LLAVA, config: { ...config, text_config: rest } };
  const [apart, tied] = [
    await openCheckpoint(write(unsaid)),
    await openCheckpoint(write(unsaid, ["language_model.lm_head.weight"])),
  ];
  expect([apart.spec.tiedEmbeddings, tied.spec.tiedEmbeddings]).toEqual([false, true]);
  for (const checkpoint of [apart, tied]) checkpoint.close();
});

test("inspect says it", async () => {
  const facts = await modelFactsAt(write(LLAVA), { provider: "cpu" } as never);
  expect(facts).toMatchObject({
    architecture: "llama",
    wrapper: {
      class: "LlavaForConditionalGeneration",
      left_out: Object.keys(LLAVA.tensors).filter((name) => AROUND.test(name)).length,
    },
  });
});

test("an export is refused, since engines load the whole model", () =>
  expectFailure(() => openExportModel(write(LLAVA)), "EXPORT_UNSUPPORTED", /LlavaForConditionalGeneration/));

test("a tensor of no known part is refused", () =>
  expectFailure(
    () => openCheckpoint(write({ ...LLAVA, tensors: { ...LLAVA.tensors, "audio_tower.conv.weight": [2, 2] } })),
    "ARCHITECTURE_UNSUPPORTED",
    /audio_tower\.conv\.weight/,
  ));

describe("others are refused by name", () => {
  test.each([
    ["qwen2_vl", { model_type: "qwen2_vl", text_config: {} }, /"qwen2_vl".*mrope/],
    ["mllama", { model_type: "mllama", text_config: {} }, /"mllama".*cross attention/],
    ["one that is not known", { model_type: "blip_9", text_config: { model_type: "llama" } }, /"blip_9".*not known/],
    ["a text model that is not read", { model_type: "llava", text_config: { model_type: "gpt2" } }, /around gpt2/],
    [
      "another class",
      { model_type: "llava", architectures: ["LlavaForTrickery"], text_config: {} },
      /LlavaForTrickery/,
    ],
  ])("%s", (_name, config, what) =>
    expectFailure(() => readHfConfig(writeConfig(config)), "ARCHITECTURE_UNSUPPORTED", what),
  );

  test("without a text_config", () =>
    expectFailure(() => readHfConfig(writeConfig({ model_type: "llava" })), "CONFIG_INVALID", /text_config: missing/));
});
