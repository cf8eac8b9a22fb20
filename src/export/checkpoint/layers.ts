/**
 * A model with some of its blocks left out, the others in layers numbered anew: its tensors and its config.json.
 *
 * A model is a row of blocks, and a layer is no more than an attention and the MLP behind it. So what is left of the row is
 * packed into layers again, an MLP with the attention before it, whichever layers of the target they come from: without 3.mlp
 * and 4.attn one layer is left of the two, of 3.attn and 4.mlp.
 */
import { blockKind, blockLayer, type ChoiceSet } from "../../schema/choice.js";
import type { ExportModel, ModelTensor } from "../model.js";

/** A layer of the draft: the target's layers that its blocks come from; null: it has no such block. */
export interface PackedLayer {
  attn: number | null;
  mlp: number | null;
}

/** [draft's layers] at least one block in each */
export function packedLayers({ blocks }: Pick<ChoiceSet, "blocks">): PackedLayer[] {
  const layers: PackedLayer[] = [];
  blocks.forEach((choice, index) => {
    if (choice === "skip") return;
    const before = layers.at(-1);
    if (blockKind(index) === "attn") layers.push({ attn: blockLayer(index), mlp: null });
    else if (before !== undefined && before.mlp === null) before.mlp = blockLayer(index);
    else layers.push({ attn: null, mlp: blockLayer(index) });
  });
  return layers;
}

/** Whether these are layers as any model of the architecture has them. */
export const isWhole = (layers: readonly PackedLayer[]): boolean =>
  layers.every(({ attn, mlp }) => attn !== null && mlp !== null);

const LAYER = /^model\.layers\.(\d+)\.(.+)$/;
/** An MLP's norm is called after the attention that it follows. */
const isMlpPart = (part: string): boolean => part.startsWith("mlp.") || part.startsWith("post_attention_layernorm.");

/** Name in the draft -> the target's tensor: what belongs to no layer first, then layer by layer. */
export function packedTensors(
  tensors: ExportModel["tensors"],
  layers: readonly PackedLayer[],
): Map<string, ModelTensor> {
  const place = { attn: new Map<number, number>(), mlp: new Map<number, number>() };
  layers.forEach(({ attn, mlp }, i) => {
    if (attn !== null) place.attn.set(attn, i);
    if (mlp !== null) place.mlp.set(mlp, i);
  });
  const found = [...tensors].flatMap(([name, tensor]) => {
    const [, layer, part] = LAYER.exec(name) ?? [];
    if (layer === undefined) return [{ at: -1, name, tensor }];
    const at = place[isMlpPart(part) ? "mlp" : "attn"].get(Number(layer));
    return at === undefined ? [] : [{ at, name: `model.layers.${at}.${part}`, tensor }];
  });
  return new Map(found.sort((a, b) => a.at - b.at).map(({ name, tensor }) => [name, tensor]));
}

/**
 * config.json of the draft. What it says by layer concerns attention: a list with an entry a layer (`layer_types`) keeps those
 * of the layers whose attention stays, a map with a key a layer (`per_layer_config`) likewise, and a number of first layers
 * (`max_window_layers`) counts those of them that stay.
 */
export function packedConfig(
  config: ExportModel["config"],
  targetLayers: number,
  layers: readonly PackedLayer[],
): Record<string, unknown> {
  const from = layers.map(({ attn, mlp }) => attn ?? mlp ?? 0);
  const place = new Map(from.map((layer, i) => [String(layer), String(i)]));
  const trimmed = Object.entries(config).map(([key, value]): [string, unknown] => {
    if (key === "num_hidden_layers") return [key, layers.length];
    if (FIRST_LAYERS.has(key) && typeof value === "number") return [key, from.filter((layer) => layer < value).length];
    if (PER_LAYER_MAPS.has(key) && typeof value === "object" && value !== null && !Array.isArray(value))
      return [key, Object.fromEntries(Object.entries(value).flatMap(([layer, of]) => renamed(place, layer, of)))];
    if (Array.isArray(value) && value.length === targetLayers && !PER_TOKEN.has(key))
      return [key, from.map((layer) => value[layer])];
    return [key, value];
  });
  return Object.fromEntries(trimmed);
}

const renamed = (place: ReadonlyMap<string, string>, layer: string, value: unknown): [string, unknown][] => {
  const at = place.get(layer);
  return at === undefined ? [] : [[at, value]];
};

const FIRST_LAYERS = new Set(["max_window_layers"]);
const PER_LAYER_MAPS = new Set(["per_layer_config"]);
/** Lists that may have as many entries as there are layers by chance. */
const PER_TOKEN = new Set(["architectures", "eos_token_id", "bos_token_id", "pad_token_id", "bad_words_ids"]);
