/** Tensors as they lie in files: which ones a model must have, where their bytes are, and reading them. */

import { DraftplanError } from "../../core/errors.js";
import { BLOCK_KINDS } from "../../schema/choice.js";
import { corrupt } from "../failures.js";
import { blockNorms, gatedMlps, ROUTER } from "../layers.js";
import type { ModelSpec } from "../spec.js";
import type { BytesAt } from "./byte-file.js";
import type { StoredTypeName } from "./dequantize.js";
import { isStoredType, STORED_TYPES } from "./dequantize.js";
import type { StoredTensor } from "./stored.js";

export type { StoredTensor } from "./stored.js";

/** Bytes decoded at a time: whole tensors would hold the stored and the converted form in memory together. */
const CHUNK_BYTES = 1 << 20;

export const product = (shape: readonly number[]): number => shape.reduce((total, n) => total * n, 1);

export function readTensor(tensor: StoredTensor): Float32Array {
  const type = readableType(tensor);
  const { blockBytes, blockValues } = STORED_TYPES[type];
  return readValues({ ...tensor, type }, 0, (tensor.byteLength / blockBytes) * blockValues);
}

/** What is to be read of a tensor: its bytes, in whatever thread they are asked for. */
export interface StoredValues {
  file: BytesAt;
  storedName: string;
  type: StoredTypeName;
  /** bytes from the beginning of the file */
  offset: number;
}

/** @param first and `count`: whole blocks of the type */
export function readValues(tensor: StoredValues, first: number, count: number): Float32Array {
  const { file, storedName } = tensor;
  const { blockBytes, blockValues, decode } = STORED_TYPES[tensor.type];
  const blocks = count / blockValues;
  const begin = tensor.offset + (first / blockValues) * blockBytes;
  const values = allocate(count, tensor);
  const chunkBlocks = Math.max(1, Math.floor(CHUNK_BYTES / blockBytes));
  const bytes = new Uint8Array(Math.min(blocks, chunkBlocks) * blockBytes);
  for (let done = 0; done < blocks; done += chunkBlocks) {
    const decoded = Math.min(chunkBlocks, blocks - done);
    const chunk = bytes.subarray(0, decoded * blockBytes);
    file.readInto(chunk, begin + done * blockBytes, `tensor ${storedName}`);
    decode(chunk, decoded, values, done * blockValues);
  }
  return values;
}

function allocate(values: number, tensor: StoredValues): Float32Array {
  try {
    return new Float32Array(values);
  } catch (cause) {
    throw new DraftplanError({
      code: "OUT_OF_MEMORY",
      at: `${tensor.file.path}: tensor ${tensor.storedName}`,
      what: `${values} numbers in fp32 do not fit into memory`,
      remedy: "use a machine with more memory or a smaller model",
      cause,
    });
  }
}

export function readableType(tensor: StoredTensor): StoredTypeName {
  if (isStoredType(tensor.type)) return tensor.type;
  throw typeUnsupported(tensor.file.path, tensor.storedName, tensor.type);
}

export function typeUnsupported(file: string, tensor: string, type: string): DraftplanError {
  return new DraftplanError({
    code: "TENSOR_TYPE_UNSUPPORTED",
    at: `${file}: tensor ${tensor}`,
    what: `stored as ${type}, which draftplan does not read`,
    remedy: `use a file whose tensors are ${Object.keys(STORED_TYPES).join(", ")}`,
  });
}

/** Refuses tensors that share bytes. Empty ones share nothing. */
export function assertNoOverlap(tensors: Iterable<StoredTensor>): void {
  const byOffset = [...tensors].filter((t) => t.byteLength > 0).sort((a, b) => a.offset - b.offset);
  for (let i = 1; i < byOffset.length; i++) {
    const [before, after] = [byOffset[i - 1], byOffset[i]];
    if (before.offset + before.byteLength > after.offset)
      throw corrupt(
        after.file.path,
        `tensor ${after.storedName}`,
        `begins at byte ${after.offset}, inside tensor ${before.storedName}`,
      );
  }
}

/** Canonical name -> shape of every tensor the model computes with. */
export function expectedTensors(spec: ModelSpec): Map<string, readonly number[]> {
  const { hiddenSize, vocabSize } = spec;
  const tensors = new Map<string, readonly number[]>([
    ["model.embed_tokens.weight", [vocabSize, hiddenSize]],
    ["model.norm.weight", [hiddenSize]],
  ]);
  if (!spec.tiedEmbeddings) tensors.set("lm_head.weight", [vocabSize, hiddenSize]);
  for (let layer = 0; layer < spec.layers; layer++)
    for (const [name, shape] of layerTensors(spec)) tensors.set(`model.layers.${layer}.${name}`, shape);
  return tensors;
}

const normNames = (spec: ModelSpec): string[] =>
  BLOCK_KINDS.flatMap((kind) => Object.values(blockNorms(spec, kind))).filter((name) => name !== null);

/** Names follow `model.layers.N.`. */
function layerTensors(spec: ModelSpec): [string, readonly number[]][] {
  const { hiddenSize, intermediateSize, headDim } = spec;
  const queryRows = spec.heads * headDim;
  const keyRows = spec.kvHeads * headDim;
  const linear = (name: string, out: number, input: number, bias: boolean): [string, readonly number[]][] => [
    [`${name}.weight`, [out, input]],
    ...(bias ? [[`${name}.bias`, [out]] satisfies [string, readonly number[]]] : []),
  ];
  return [
    ...normNames(spec).map((name): [string, readonly number[]] => [`${name}.weight`, [hiddenSize]]),
    ...linear("self_attn.q_proj", queryRows, hiddenSize, spec.qkvBias),
    ...linear("self_attn.k_proj", keyRows, hiddenSize, spec.qkvBias),
    ...linear("self_attn.v_proj", keyRows, hiddenSize, spec.qkvBias),
    ...linear("self_attn.o_proj", hiddenSize, queryRows, spec.outputBias),
    ...(spec.experts === undefined ? [] : linear(ROUTER, spec.experts.count, hiddenSize, false)),
    ...gatedMlps(spec).flatMap((mlp) => [
      ...linear(`${mlp}.gate_proj`, intermediateSize, hiddenSize, spec.mlpBias),
      ...linear(`${mlp}.up_proj`, intermediateSize, hiddenSize, spec.mlpBias),
      ...linear(`${mlp}.down_proj`, hiddenSize, intermediateSize, spec.mlpBias),
    ]),
    ...(spec.qkNorm
      ? ([
          ["self_attn.q_norm.weight", [spec.qkNormOver === "projection" ? queryRows : headDim]],
          ["self_attn.k_norm.weight", [spec.qkNormOver === "projection" ? keyRows : headDim]],
        ] satisfies [string, readonly number[]][])
      : []),
  ];
}
