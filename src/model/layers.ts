/** What differs between the layers of a model, and between architectures, as the graph and its weights ask for it. */
import type { ModelSpec, Rope, Variations } from "./spec.js";

/** Tokens that a query of a layer sees, itself included; null: all of them. */
export const windowOf = ({ slidingWindow, layerWindows }: ModelSpec, layer: number): number | null =>
  layerWindows === undefined ? slidingWindow : layerWindows[layer];

/** A ModelSpec's keys for the window of each layer. [layers] */
export function windowKeys(windows: readonly (number | null)[]): Pick<ModelSpec, "slidingWindow" | "layerWindows"> {
  const distinct = new Set(windows);
  return distinct.size > 1
    ? { slidingWindow: null, layerWindows: [...windows] }
    : { slidingWindow: windows[0] ?? null };
}

/** Windows that layers of the model have, each once, all of them first where a layer sees all. */
export function distinctWindows({ slidingWindow, layerWindows }: ModelSpec): (number | null)[] {
  if (layerWindows === undefined) return [slidingWindow];
  return [...new Set(layerWindows)].sort((a, b) => (b ?? Infinity) - (a ?? Infinity));
}

/** Names of the tables of one kind of rotary positions, in the graph and in the weight file. */
export interface RopeTables {
  cos: string;
  sin: string;
  rope: Rope;
}

const everyTable = (rope: Rope): RopeTables => ({ cos: "cos_cache", sin: "sin_cache", rope });
const windowedTable = (rope: Rope): RopeTables => ({ cos: "cos_cache.windowed", sin: "sin_cache.windowed", rope });

/** Every kind of rotary positions that layers of the model have. */
export const ropeTablesOf = ({ rope, windowedRope }: ModelSpec): RopeTables[] => [
  everyTable(rope),
  ...(windowedRope === undefined ? [] : [windowedTable(windowedRope)]),
];

/** The rotary positions of a layer; null: it has none. */
export function layerRope(spec: ModelSpec, layer: number): RopeTables | null {
  if (spec.unrotatedLayers?.includes(layer)) return null;
  const { windowedRope } = spec;
  return windowedRope !== undefined && windowOf(spec, layer) !== null
    ? windowedTable(windowedRope)
    : everyTable(spec.rope);
}

/** Names of a block's norms among a layer's tensors, without `.weight`; null: none there. */
export interface BlockNorms {
  before: string | null;
  after: string | null;
}

/** Where transformers' tensors of these names are. */
export function blockNorms({ normPlacement }: ModelSpec, kind: "attn" | "mlp"): BlockNorms {
  if (normPlacement === undefined)
    return { before: kind === "attn" ? "input_layernorm" : "post_attention_layernorm", after: null };
  const after = kind === "attn" ? "post_attention_layernorm" : "post_feedforward_layernorm";
  if (normPlacement === "after") return { before: null, after };
  return { before: kind === "attn" ? "input_layernorm" : "pre_feedforward_layernorm", after };
}

/** Name of what chooses among a layer's experts, among its tensors, without `.weight`. */
export const ROUTER = "mlp.gate";

/** Names of a layer's gated MLPs among its tensors: its only one, or its experts. */
export const gatedMlps = ({ experts }: ModelSpec): string[] =>
  experts === undefined ? ["mlp"] : Array.from({ length: experts.count }, (_, expert) => `mlp.experts.${expert}`);

/** Every key of Variations; the type makes a new one an error here. */
const VARIATIONS: Record<keyof Variations, true> = {
  normPlacement: true,
  qkNormOver: true,
  activation: true,
  attentionScale: true,
  attentionSoftCap: true,
  logitSoftCap: true,
  embeddingScale: true,
  residualScale: true,
  logitScale: true,
  layerWindows: true,
  windowedRope: true,
  unrotatedLayers: true,
  experts: true,
};

/** What a model computes that llama does not, by the keys of the spec. */
export const variationsOf = (spec: ModelSpec): (keyof Variations)[] =>
  (Object.keys(VARIATIONS) as (keyof Variations)[]).filter((key) => spec[key] !== undefined);

/** The same sizes, as llama computes with them. */
export function withoutVariations(spec: ModelSpec): ModelSpec {
  const plain = { ...spec };
  for (const key of variationsOf(spec)) delete plain[key];
  return plain;
}
