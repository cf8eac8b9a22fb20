/**
 * A draft of a model's own blocks as a GGUF model: the layers that are kept, numbered anew.
 *
 * Whole layers keep the model's architecture. Where a layer has lost one of its two blocks the draft is written as `deci`
 * (llama.cpp's `src/models/deci.cpp`, build 11434), whose layers each have their own numbers of heads and of MLP rows:
 * - no heads: attention is left out. In layer 0, which llama.cpp takes the head size from, one head of zeros stands instead.
 * - no MLP rows would lose the layer's attention too (`deci.cpp` goes on to the next layer before its output is taken), so
 *   32 rows of zeros stand there: they add nought.
 */
import type { ModelSpec } from "../../model/spec.js";
import { type ChoiceSet, type Kernel, wholeHead } from "../../schema/choice.js";
import { areWhole, type DraftLayer, packLayers } from "./layers.js";
import { type MetadataEntry, type MetadataValue, madeEntry } from "./metadata.js";
import type { ModelMetadata } from "./model-metadata.js";
import { convertedType, derivedTensor, type SourceTensor, zeroTensor } from "./tensors.js";
import { type GgufTensor, tensorBytes } from "./write.js";

/** The whole model, under GGUF's names and in GGUF's order of rows. */
export interface GgufModel {
  /** `general.architecture` */
  architecture: string;
  spec: ModelSpec;
  /** whether rows of q and k are in interleaved rotary order, as `deci` has them */
  interleaved: boolean;
  metadata: ModelMetadata;
  /** by name, in the file's order */
  tensors: ReadonlyMap<string, SourceTensor>;
}

export interface GgufDraft {
  architecture: string;
  metadata: MetadataEntry[];
  tensors: GgufTensor[];
  /** matrices of quantised blocks and of the head, by what became of them */
  matrices: { converted: number; kept: number };
}

const DECI = "deci";
const ZERO_ROWS = 32;
/** Of one zero head, or 32 zero rows, there is little to store; every backend multiplies fp16. */
const ZERO_TYPE = "F16";

export function draftOf(model: GgufModel, choices: ChoiceSet): GgufDraft {
  const layers = packLayers(choices);
  const whole = areWhole(layers);
  const { tensors, matrices } = draftTensors(model, layers, wholeHead(choices), whole);
  return {
    architecture: whole ? model.architecture : DECI,
    metadata: whole ? wholeMetadata(model, layers) : deciMetadata(model, layers),
    tensors: whole ? tensors : [...tensors, ...layers.flatMap((layer, i) => zeroTensors(model.spec, layer, i))],
    matrices,
  };
}

function wholeMetadata({ architecture, spec, metadata }: GgufModel, layers: readonly DraftLayer[]): MetadataEntry[] {
  return metadata.keys.map(
    (key) => layerEntry(metadata, key, key, architecture, spec.layers, layers) ?? metadata.entry(key),
  );
}

function deciMetadata({ architecture, spec, metadata }: GgufModel, layers: readonly DraftLayer[]): MetadataEntry[] {
  const made = new Map<string, MetadataValue>(
    Object.entries(deciValues(spec, layers)).map(([suffix, value]) => [`${DECI}.${suffix}`, value] as const),
  );
  const entries = metadata.keys.flatMap((key): MetadataEntry[] => {
    if (key === "general.architecture") return [madeEntry(key, { type: "string", value: DECI })];
    if (!key.startsWith(`${architecture}.`)) return [metadata.entry(key)];
    const renamed = DECI + key.slice(architecture.length);
    if (made.has(renamed)) return [];
    return [layerEntry(metadata, key, renamed, architecture, spec.layers, layers) ?? metadata.entry(key, renamed)];
  });
  return [...entries, ...[...made].map(([key, value]) => madeEntry(key, value))];
}

/** A key that depends on the layers: their number, and lists with an entry for each. */
function layerEntry(
  metadata: ModelMetadata,
  key: string,
  renamed: string,
  architecture: string,
  modelLayers: number,
  layers: readonly DraftLayer[],
): MetadataEntry | undefined {
  if (!key.startsWith(`${architecture}.`)) return undefined;
  if (layers.length === modelLayers && key === renamed) return undefined; // all are there, so nothing changes
  if (key === `${architecture}.block_count`) return madeEntry(renamed, { type: "u32", value: layers.length });
  const numbers = metadata.numbers(key);
  if (numbers?.values.length !== modelLayers) return undefined;
  const of = (layer: DraftLayer): number => {
    const kept = key.includes("feed_forward") ? (layer.mlp ?? layer.attn) : (layer.attn ?? layer.mlp);
    return numbers.values[kept?.layer ?? 0];
  };
  return madeEntry(renamed, { type: "array", of: numbers.type, values: layers.map(of) });
}

const headsOf = (spec: ModelSpec, { attn }: DraftLayer, index: number): { heads: number; kvHeads: number } =>
  attn !== null
    ? { heads: spec.heads, kvHeads: spec.kvHeads }
    : { heads: index === 0 ? 1 : 0, kvHeads: index === 0 ? 1 : 0 };

function deciValues(spec: ModelSpec, layers: readonly DraftLayer[]): Record<string, MetadataValue> {
  const each = (value: (layer: DraftLayer, index: number) => number): MetadataValue => ({
    type: "array",
    of: "u32",
    values: layers.map(value),
  });
  const headSize: MetadataValue = { type: "u32", value: spec.headDim };
  return {
    block_count: { type: "u32", value: layers.length },
    feed_forward_length: each(({ mlp }) => (mlp === null ? ZERO_ROWS : spec.intermediateSize)),
    "attention.head_count": each((layer, i) => headsOf(spec, layer, i).heads),
    "attention.head_count_kv": each((layer, i) => headsOf(spec, layer, i).kvHeads),
    // llama.cpp would divide the hidden size by the heads of layer 0
    "attention.key_length": headSize,
    "attention.value_length": headSize,
    "rope.dimension_count": headSize,
  };
}

function zeroTensors(spec: ModelSpec, { attn, mlp }: DraftLayer, index: number): GgufTensor[] {
  const { hiddenSize, headDim } = spec;
  const zeros = (part: string, ...shape: number[]) =>
    zeroTensor(`blk.${index}.${part}.weight`, shape.length === 1 ? "F32" : ZERO_TYPE, shape);
  const attention =
    attn !== null || index > 0
      ? []
      : [
          zeros("attn_norm", hiddenSize),
          ...["attn_q", "attn_k", "attn_v"].map((part) => zeros(part, headDim, hiddenSize)),
          zeros("attn_output", hiddenSize, headDim),
        ];
  if (mlp !== null) return attention;
  return [
    ...attention,
    zeros("ffn_norm", hiddenSize),
    zeros("ffn_gate", ZERO_ROWS, hiddenSize),
    zeros("ffn_up", ZERO_ROWS, hiddenSize),
    zeros("ffn_down", hiddenSize, ZERO_ROWS),
  ];
}

const EMBEDDING = "token_embd.weight";
const HEAD = "output.weight";

function draftTensors(
  model: GgufModel,
  layers: readonly DraftLayer[],
  headKernel: Kernel,
  whole: boolean,
): Pick<GgufDraft, "tensors" | "matrices"> {
  const matrices = { converted: 0, kept: 0 };
  /** undefined: as it is stored */
  const typeFor = (kernel: Kernel, source: SourceTensor) => {
    const type = convertedType(kernel, source);
    if (kernel !== "target" && source.shape.length > 1) matrices[type === undefined ? "kept" : "converted"]++;
    return type;
  };
  const place = new Map<string, { index: number; kernel: Kernel }>();
  layers.forEach(({ attn, mlp }, index) => {
    if (attn !== null) place.set(`${attn.layer}.attn`, { index, kernel: attn.kernel });
    if (mlp !== null) place.set(`${mlp.layer}.ffn`, { index, kernel: mlp.kernel });
  });
  const tensors: GgufTensor[] = [];
  for (const [name, source] of model.tensors) {
    const [, layer, part, kind] = /^blk\.(\d+)\.((attn|ffn).*)$/.exec(name) ?? [];
    if (layer === undefined) {
      tensors.push(derivedTensor({ name, source, type: name === HEAD ? typeFor(headKernel, source) : undefined }));
      continue;
    }
    const at = place.get(`${layer}.${kind}`);
    if (at === undefined) continue;
    const interleave = whole || model.interleaved ? undefined : rotaryHeads(model.spec, part);
    const type = typeFor(at.kernel, source);
    tensors.push(derivedTensor({ name: `blk.${at.index}.${part}`, source, type, interleave }));
  }
  const embedding = model.tensors.get(EMBEDDING);
  // a tied head of another kernel is no longer the embedding
  if (!model.tensors.has(HEAD) && embedding !== undefined) {
    const type = typeFor(headKernel, embedding);
    if (type !== undefined) tensors.push(derivedTensor({ name: HEAD, source: embedding, type }));
  }
  return { tensors, matrices };
}

export function rotaryHeads(
  { heads, kvHeads, headDim }: ModelSpec,
  part: string,
): { heads: number; headDim: number } | undefined {
  if (/^attn_q\.(weight|bias)$/.test(part)) return { heads, headDim };
  if (/^attn_k\.(weight|bias)$/.test(part)) return { heads: kvHeads, headDim };
  return undefined;
}

/** Bytes that a pass of one token reads: all but the embedding, of which it reads one row, where that is not the head too. */
export function bytesAStep(tensors: Iterable<{ name: string } & Pick<SourceTensor, "type" | "shape">>): number {
  const all = [...tensors];
  const ownHead = all.some(({ name }) => name === HEAD);
  return all.reduce((sum, tensor) => (ownHead && tensor.name === EMBEDDING ? sum : sum + tensorBytes(tensor)), 0);
}
