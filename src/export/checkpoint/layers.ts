/** A model with some of its layers left out, the others numbered anew: its tensors and its config.json. */
import { blockIndex, type ChoiceSet } from "../../schema/choice.js";
import type { ExportModel, ModelTensor } from "../model.js";

/** Layers of which anything is run, in order. [draft's layer] -> the target's */
export const keptLayers = ({ blocks }: ChoiceSet): number[] =>
  Array.from({ length: blocks.length / 2 }, (_, layer) => layer).filter(
    (layer) => blocks[blockIndex(layer, "attn")] !== "skip" || blocks[blockIndex(layer, "mlp")] !== "skip",
  );

const LAYER = /^model\.layers\.(\d+)\.(.+)$/;

/** Name in the draft -> the target's tensor; in the order of the draft's layers. */
export function renumberedTensors(tensors: ExportModel["tensors"], kept: readonly number[]): Map<string, ModelTensor> {
  const place = new Map(kept.map((layer, i) => [layer, i]));
  const entries = [...tensors].flatMap(([name, tensor]): [string, ModelTensor][] => {
    const [, layer, part] = LAYER.exec(name) ?? [];
    if (layer === undefined) return [[name, tensor]];
    const at = place.get(Number(layer));
    return at === undefined ? [] : [[`model.layers.${at}.${part}`, tensor]];
  });
  return new Map(entries);
}

/**
 * config.json of the draft. A list with an entry a layer (`layer_types`) keeps those of the layers that stay, a map with a
 * key a layer (`per_layer_config`) likewise, and a number of first layers (`max_window_layers`) counts those that stay.
 */
export function renumberedConfig(
  config: ExportModel["config"],
  layers: number,
  kept: readonly number[],
): Record<string, unknown> {
  const place = new Map(kept.map((layer, i) => [String(layer), String(i)]));
  const trimmed = Object.entries(config).map(([key, value]): [string, unknown] => {
    if (key === "num_hidden_layers") return [key, kept.length];
    if (FIRST_LAYERS.has(key) && typeof value === "number") return [key, kept.filter((layer) => layer < value).length];
    if (PER_LAYER_MAPS.has(key) && typeof value === "object" && value !== null && !Array.isArray(value))
      return [key, Object.fromEntries(Object.entries(value).flatMap(([layer, of]) => rename(place, layer, of)))];
    if (Array.isArray(value) && value.length === layers && !PER_TOKEN.has(key))
      return [key, kept.map((layer) => value[layer])];
    return [key, value];
  });
  return Object.fromEntries(trimmed);
}

const rename = (place: ReadonlyMap<string, string>, layer: string, value: unknown): [string, unknown][] => {
  const at = place.get(layer);
  return at === undefined ? [] : [[at, value]];
};

const FIRST_LAYERS = new Set(["max_window_layers"]);
const PER_LAYER_MAPS = new Set(["per_layer_config"]);
/** Lists that may have as many entries as there are layers by chance. */
const PER_TOKEN = new Set(["architectures", "eos_token_id", "bos_token_id", "pad_token_id", "bad_words_ids"]);
