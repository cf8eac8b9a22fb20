/** Layers numbered anew, against the plainest way to do it. */
import { describe, expect, test } from "vitest";
import { keptLayers, renumberedConfig, renumberedTensors } from "../../src/export/checkpoint/layers.js";
import type { ModelTensor } from "../../src/export/model.js";
import { uniformChoices } from "../../src/schema/choice.js";
import { seededRandom } from "../../src/stats/random.js";

const LAYERS = 7;
const tensorOf = (label: string): ModelTensor => ({
  dtype: "F32",
  shape: [1],
  bytes: 4,
  chunks: () => [Buffer.from(label.padEnd(4).slice(0, 4))],
});

const NAMES = [
  "model.embed_tokens.weight",
  ...Array.from({ length: LAYERS }, (_, layer) => [
    `model.layers.${layer}.self_attn.q_proj.weight`,
    `model.layers.${layer}.mlp.up_proj.weight`,
  ]).flat(),
  "model.norm.weight",
];
const TENSORS = new Map(NAMES.map((name) => [name, tensorOf(name)]));

/** Goes through all layers by hand and counts. */
function byHand(skipped: ReadonlySet<number>): Map<string, ModelTensor | undefined> {
  const found = new Map<string, ModelTensor | undefined>();
  found.set("model.embed_tokens.weight", TENSORS.get("model.embed_tokens.weight"));
  let next = 0;
  for (let layer = 0; layer < LAYERS; layer++) {
    if (skipped.has(layer)) continue;
    for (const part of ["self_attn.q_proj.weight", "mlp.up_proj.weight"])
      found.set(`model.layers.${next}.${part}`, TENSORS.get(`model.layers.${layer}.${part}`));
    next++;
  }
  found.set("model.norm.weight", TENSORS.get("model.norm.weight"));
  return found;
}

const subsets = Array.from({ length: 2 ** LAYERS - 1 }, (_, bits) =>
  Array.from({ length: LAYERS }, (_x, layer) => layer).filter((layer) => (bits >> layer) & 1),
);

test("every way to leave out layers gives the tensors that counting by hand gives", () => {
  for (const skipped of subsets) {
    const blocks = uniformChoices(LAYERS, "target").blocks.map((choice, i) =>
      skipped.includes(i >> 1) ? ("skip" as const) : choice,
    );
    const kept = keptLayers({ blocks, head: "target" });
    expect([...renumberedTensors(TENSORS, kept)].sort()).toEqual([...byHand(new Set(skipped))].sort());
  }
});

test("a layer of which one half is skipped is kept", () => {
  const blocks = [...uniformChoices(3, "target").blocks];
  blocks[2] = "skip"; // 1.attn
  blocks[5] = "skip"; // 2.mlp
  expect(keptLayers({ blocks, head: "target" })).toEqual([0, 1, 2]);
});

describe("config.json", () => {
  const random = seededRandom(3);
  const types = Array.from({ length: LAYERS }, () => (random.float() < 0.5 ? "full_attention" : "sliding_attention"));
  const config = {
    num_hidden_layers: LAYERS,
    hidden_size: 64,
    layer_types: types,
    max_window_layers: 4,
    eos_token_id: [1, 2, 3, 4, 5, 6, 7],
    per_layer_config: { "1": { skip: ["mlp"] }, "5": { a: 1 } },
    rope_scaling: null,
  };

  test.each(subsets.filter((_, i) => i % 11 === 0).map((skipped) => ({ skipped })))(
    "without layers $skipped keeps what belongs to the others",
    ({ skipped }) => {
      const kept = types.flatMap((_, layer) => (skipped.includes(layer) ? [] : [layer]));
      const draft = renumberedConfig(config, LAYERS, kept);
      expect(draft.num_hidden_layers).toBe(LAYERS - skipped.length);
      expect(draft.layer_types).toEqual(types.filter((_, layer) => !skipped.includes(layer)));
      expect(draft.max_window_layers).toBe([0, 1, 2, 3].filter((layer) => !skipped.includes(layer)).length);
      expect(draft.eos_token_id).toEqual([1, 2, 3, 4, 5, 6, 7]);
      const renamed: Record<string, unknown> = {};
      if (!skipped.includes(1)) renamed[skipped.includes(0) ? "0" : "1"] = { skip: ["mlp"] };
      if (!skipped.includes(5)) renamed[String([0, 1, 2, 3, 4].filter((l) => !skipped.includes(l)).length)] = { a: 1 };
      expect(draft.per_layer_config).toEqual(renamed);
      expect(draft.hidden_size).toBe(64);
    },
  );
});
