/**
 * A Hugging Face folder as a GGUF model, as llama.cpp's converter writes it (`conversion/llama.py`, `conversion/qwen.py`):
 * matrices in the format they are stored in, norms and biases in fp32, q and k in the order of rows that the architecture
 * rotates. mistral is written as llama, which is what llama.cpp calls it.
 */
import { architectureOf } from "../../model/architectures/registry.js";
import { llama3Factors } from "../../model/rope.js";
import type { ModelSpec } from "../../model/spec.js";
import type { TokenizerDefinition } from "../../tokenizer/definition.js";
import type { ExportModel, ModelTensor } from "../model.js";
import { type GgufModel, rotaryHeads } from "./draft.js";
import { encode } from "./encode.js";
import type { MetadataValue } from "./metadata.js";
import { madeMetadata } from "./model-metadata.js";
import { derivedTensor, type SourceTensor } from "./tensors.js";
import { tokenizerMetadata } from "./tokenizer-metadata.js";

/** `enum llama_ftype`: what a file is mostly stored in */
const FILE_TYPES: Record<ModelTensor["dtype"], number> = { F32: 0, F16: 1, BF16: 32 };

/**
 * The weights alone; the metadata says what the architecture is.
 * @returns null where llama.cpp has no such architecture
 */
export function folderTensors({
  spec,
  tensors,
}: Pick<ExportModel, "spec" | "tensors">): Omit<GgufModel, "metadata"> | null {
  const facts = architectureOf(spec.architecture).gguf;
  if (facts === null) return null;
  const { names, interleavedRotary: interleaved } = facts;
  const modelNames = inverse(names.model);
  const layerNames = inverse(names.layer);
  const stored = new Map<string, SourceTensor>();
  for (const [canonical, tensor] of tensors) {
    const [, layer, whole, kind] = /^(?:model\.layers\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(canonical) ?? [];
    const part = layer === undefined ? modelNames.get(whole) : layerNames.get(whole);
    if (part === undefined) throw new Error(`no GGUF name for ${canonical}`);
    const name = layer === undefined ? `${part}.${kind}` : `${names.layers}${layer}.${part}.${kind}`;
    const source = { type: tensor.dtype, shape: tensor.shape, chunks: () => tensor.chunks() };
    const interleave = interleaved && layer !== undefined ? rotaryHeads(spec, `${part}.${kind}`) : undefined;
    stored.set(name, derivedTensor({ name, source, interleave, type: tensor.shape.length === 1 ? "F32" : undefined }));
  }
  const factors = ropeFactors(spec);
  if (factors !== null)
    stored.set("rope_freqs.weight", { type: "F32", shape: [factors.length], chunks: () => encode("F32", factors) });
  return { architecture: GGUF_NAMES[spec.architecture] ?? spec.architecture, spec, interleaved, tensors: stored };
}

const GGUF_NAMES: Readonly<Record<string, string>> = { mistral: "llama" };

/** @throws TOKENIZER_INVALID */
export function folderModel(
  parts: Omit<GgufModel, "metadata">,
  { ref, tensors }: Pick<ExportModel, "ref" | "tensors">,
  tokenizer: TokenizerDefinition,
): GgufModel {
  const { architecture, spec } = parts;
  const u32 = (value: number): MetadataValue => ({ type: "u32", value });
  const f32 = (value: number): MetadataValue => ({ type: "f32", value });
  const text = (value: string): MetadataValue => ({ type: "string", value });
  const keys: Record<string, MetadataValue> = {
    block_count: u32(spec.layers),
    context_length: u32(spec.contextLimit),
    embedding_length: u32(spec.hiddenSize),
    feed_forward_length: u32(spec.intermediateSize),
    "attention.head_count": u32(spec.heads),
    "attention.head_count_kv": u32(spec.kvHeads),
    "attention.key_length": u32(spec.headDim),
    "attention.value_length": u32(spec.headDim),
    "attention.layer_norm_rms_epsilon": f32(spec.rmsEps),
    "rope.freq_base": f32(spec.rope.theta),
    "rope.dimension_count": u32(spec.headDim),
    vocab_size: u32(spec.vocabSize),
    ...(spec.slidingWindow === null ? {} : { "attention.sliding_window": u32(spec.slidingWindow) }),
    // llama.cpp takes 8192 where nothing is said, and so does draftplan's own reader
    ...(spec.rope.scaling?.type !== "llama3" // others are refused (export/unsupported.ts)
      ? {}
      : { "rope.scaling.original_context_length": u32(spec.rope.scaling.originalContext) }),
  };
  const mostly = tensors.get("model.layers.0.mlp.up_proj.weight")?.dtype ?? "F32";
  const values = new Map<string, MetadataValue>([
    ["general.architecture", text(architecture)],
    ["general.type", text("model")],
    ["general.name", text(ref.name)],
    ...Object.entries(keys).map(([key, value]): [string, MetadataValue] => [`${architecture}.${key}`, value]),
    ["general.file_type", u32(FILE_TYPES[mostly])],
    ["general.quantization_version", u32(2)],
    ...tokenizerMetadata(tokenizer, spec),
  ]);
  return { ...parts, metadata: madeMetadata(values) };
}

function ropeFactors({ rope: { theta, scaling }, headDim }: ModelSpec): Float32Array | null {
  return scaling?.type !== "llama3" ? null : Float32Array.from(llama3Factors(scaling, theta, headDim));
}

const inverse = (names: Readonly<Record<string, string>>): Map<string, string> =>
  new Map(Object.entries(names).map(([stored, canonical]) => [canonical, stored]));
