/** Layers numbered anew, against the plainest way to do it. */
import { describe, expect, test } from "vitest";
import { isWhole, packedConfig, packedLayers, packedTensors } from "../../src/export/checkpoint/layers.js";
import type { ModelTensor } from "../../src/export/model.js";
import type { Choice } from "../../src/schema/choice.js";
import { seededRandom } from "../../src/stats/random.js";

const LAYERS = 6;
const tensorOf = (label: string): ModelTensor => ({
  dtype: "F32",
  shape: [1],
  bytes: 4,
  chunks: () => [Buffer.from(label)],
});
const PARTS = {
  attn: ["input_layernorm.weight", "self_attn.q_proj.weight", "self_attn.q_proj.bias", "self_attn.q_norm.weight"],
  mlp: ["post_attention_layernorm.weight", "mlp.up_proj.weight"],
};
const NAMES = [
  "model.embed_tokens.weight",
  "model.norm.weight",
  ...Array.from({ length: LAYERS }, (_, layer) =>
    [...PARTS.attn, ...PARTS.mlp].map((part) => `model.layers.${layer}.${part}`),
  ).flat(),
];
const TENSORS = new Map(NAMES.map((name) => [name, tensorOf(name)]));

/** Every subset of the 2 · LAYERS blocks, as bits of what is skipped. */
const SUBSETS = Array.from({ length: 2 ** (2 * LAYERS) }, (_, bits) => bits);
const blocksOf = (bits: number): Choice[] =>
  Array.from({ length: 2 * LAYERS }, (_, block) => ((bits >> block) & 1 ? "skip" : "target"));

/** What a draft's layers compute, in order: names of the target's tensors, an attention's before its MLP's. */
function run(tensors: ReadonlyMap<string, ModelTensor>, layers: number): string[] {
  const label = (name: string) =>
    [...(tensors.get(name)?.chunks() ?? [])].map((bytes) => Buffer.from(bytes).toString());
  return Array.from({ length: layers }, (_, layer) =>
    [...PARTS.attn, ...PARTS.mlp].flatMap((part) => label(`model.layers.${layer}.${part}`)),
  ).flat();
}

test("whatever is skipped, the draft's layers compute the blocks that stay, in the target's order", () => {
  for (const bits of SUBSETS.filter((each) => each % 7 === 0)) {
    const blocks = blocksOf(bits);
    const layers = packedLayers({ blocks });
    const expected = blocks.flatMap((choice, block) =>
      choice === "skip"
        ? []
        : PARTS[block % 2 === 0 ? "attn" : "mlp"].map((part) => `model.layers.${block >> 1}.${part}`),
    );
    const tensors = packedTensors(TENSORS, layers);
    expect(run(tensors, layers.length)).toEqual(expected);
    expect(tensors.size).toBe(expected.length + 2);
    // two layers are never where one would do
    for (const [i, { attn, mlp }] of layers.entries()) {
      expect(attn !== null || mlp !== null).toBe(true);
      if (i > 0) expect(attn === null && layers[i - 1].mlp === null).toBe(false);
    }
  }
});

test("without whole layers the others keep their order and are numbered from 0", () => {
  for (let bits = 0; bits < 2 ** LAYERS; bits++) {
    const kept = Array.from({ length: LAYERS }, (_, layer) => layer).filter((layer) => !((bits >> layer) & 1));
    const blocks = blocksOf(0).map((_, block): Choice => ((bits >> (block >> 1)) & 1 ? "skip" : "int8"));
    const layers = packedLayers({ blocks });
    expect(layers).toEqual(kept.map((layer) => ({ attn: layer, mlp: layer })));
    expect(isWhole(layers)).toBe(true);
  }
});

test("an MLP and the next layer's attention make one layer of two; an attention alone makes half a layer", () => {
  const without = (...names: number[]) =>
    packedLayers({ blocks: blocksOf(names.reduce((bits, b) => bits | (1 << b), 0)) });
  const one = without(3, 4); // 1.mlp, 2.attn
  expect(one[1]).toEqual({ attn: 1, mlp: 2 });
  expect([one.length, isWhole(one)]).toEqual([LAYERS - 1, true]);
  const half = without(3);
  expect(half[1]).toEqual({ attn: 1, mlp: null });
  expect([half.length, isWhole(half)]).toEqual([LAYERS, false]);
});

describe("config.json", () => {
  const random = seededRandom(3);
  const types = Array.from({ length: LAYERS }, () => (random.float() < 0.5 ? "full_attention" : "sliding_attention"));
  const config = {
    num_hidden_layers: LAYERS,
    hidden_size: 64,
    layer_types: types,
    max_window_layers: 4,
    eos_token_id: [1, 2, 3, 4, 5, 6],
    per_layer_config: { "1": { skip: ["mlp"] }, "5": { a: 1 } },
    rope_scaling: null,
  };

  test.each(Array.from({ length: 9 }, (_, i) => ({ bits: 7 * i })))("without layers of bits $bits", ({ bits }) => {
    const skipped = (layer: number) => ((bits >> layer) & 1) === 1;
    const kept = types.flatMap((_, layer) => (skipped(layer) ? [] : [layer]));
    const layers = kept.map((layer) => ({ attn: layer, mlp: layer }));
    const draft = packedConfig(config, LAYERS, layers);
    expect(draft.num_hidden_layers).toBe(kept.length);
    expect(draft.layer_types).toEqual(types.filter((_, layer) => !skipped(layer)));
    expect(draft.max_window_layers).toBe([0, 1, 2, 3].filter((layer) => !skipped(layer)).length);
    expect(draft.eos_token_id).toEqual(config.eos_token_id);
    const renamed: Record<string, unknown> = {};
    if (!skipped(1)) renamed[skipped(0) ? "0" : "1"] = { skip: ["mlp"] };
    if (!skipped(5)) renamed[String([0, 1, 2, 3, 4].filter((layer) => !skipped(layer)).length)] = { a: 1 };
    expect(draft.per_layer_config).toEqual(renamed);
    expect(draft.hidden_size).toBe(64);
  });

  test("an attention keeps its type when it is joined with another layer's MLP", () => {
    expect(
      packedConfig(config, LAYERS, [
        { attn: 1, mlp: 2 },
        { attn: 5, mlp: 5 },
      ]).layer_types,
    ).toEqual([types[1], types[5]]);
  });
});
