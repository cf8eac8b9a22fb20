/** Stored tensors and a ModelSpec -> Checkpoint, whatever the format. */

import { DraftplanError } from "../core/errors.js";
import { architectureSha256, weightsSha256 } from "./digest.js";
import { tensorShape, unsupportedMaths } from "./failures.js";
import type { ByteFile } from "./formats/byte-file.js";
import { STORED_TYPES } from "./formats/dequantize.js";
import { readScales } from "./formats/own-codes.js";
import { partsForThreads, type QuantisedTensor } from "./formats/quantised/form.js";
import { readQuantisedRows } from "./formats/quantised/read.js";
import type { StoredTensor } from "./formats/tensors.js";
import { expectedTensors, readableType, readTensor } from "./formats/tensors.js";
import { rowsInOrder } from "./rotary-rows.js";
import type { Checkpoint, ModelSpec } from "./spec.js";

export interface CheckpointParts {
  source: string;
  revision?: string | undefined;
  format: Checkpoint["format"];
  spec: ModelSpec;
  /** canonical name -> where its bytes are */
  tensors: ReadonlyMap<string, AnyTensor>;
  files: readonly ByteFile[];
  /** whether the format keeps a tensor's rows in interleaved rotary order, and not in Hugging Face's; left out: none */
  isInterleaved?: (name: string) => boolean;
  /** norms' weights are stored as what is added to 1 */
  normsLessOne?: boolean;
  quantisation?: string | undefined;
  wrapper?: Checkpoint["wrapper"] | undefined;
}

type AnyTensor = StoredTensor | QuantisedTensor;

const EMBEDDING = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";

/** Digests the weights and makes sure that every tensor is there, so that nothing is found missing half-way. */
export async function makeCheckpoint(parts: CheckpointParts): Promise<Checkpoint> {
  const {
    source,
    revision,
    format,
    spec,
    tensors,
    files,
    isInterleaved = () => false,
    normsLessOne = false,
    quantisation,
    wrapper,
  } = parts;
  assertComplete(parts);
  const interleavedHeadDim = (name: string) => (isInterleaved(name) ? spec.headDim : null);
  // A tied head may still have a copy in the file; transformers reads the embedding, and so does this.
  const canonicalName = (name: string) => (name === HEAD && spec.tiedEmbeddings ? EMBEDDING : name);
  return {
    source,
    ...(revision === undefined ? {} : { revision }),
    ...(quantisation === undefined ? {} : { quantisation }),
    ...(wrapper === undefined ? {} : { wrapper }),
    format,
    spec,
    weightsSha256: await weightsSha256(files),
    architectureSha256: architectureSha256(spec),
    // parts of one tensor are one
    storedTypes: countTypes(new Map([...tensors.values()].map((t) => [`${t.file.path}\0${t.storedName}`, t])).values()),
    tensor(name, shape) {
      const canonical = canonicalName(name);
      const values = readValuesOf(find(parts, canonical, shape));
      if (normsLessOne && canonical.endsWith("norm.weight")) return values.map((weight) => 1 + weight);
      return rowsInOrder(values, shape[0], interleavedHeadDim(canonical));
    },
    scales(name, shape) {
      const canonical = canonicalName(name);
      const tensor = find(parts, canonical, shape);
      if ("form" in tensor) return null;
      const own = readScales({ ...tensor, type: readableType(tensor) }, 0, shape[0] * shape[1]);
      return own && { ...own, scales: rowsInOrder(own.scales, shape[0], interleavedHeadDim(canonical)) };
    },
    origin(name, shape) {
      const canonical = canonicalName(name);
      const tensor = find(parts, canonical, shape);
      if ("form" in tensor) return { kind: "quantised", form: partsForThreads(tensor.form), firstRow: tensor.firstRow };
      const { file, storedName, offset } = tensor;
      const type = readableType(tensor);
      if (shape[1] % STORED_TYPES[type].blockValues !== 0) return null; // a block may hold the end of a row and the next one's beginning
      return {
        kind: "stored",
        descriptor: file.descriptor,
        path: file.path,
        storedName,
        type,
        offset,
        interleavedHeadDim: interleavedHeadDim(canonical),
      };
    },
    close() {
      for (const file of files) file.close();
    },
  };
}

function assertComplete(parts: CheckpointParts): void {
  const expected = expectedTensors(parts.spec);
  for (const [name, shape] of expected) {
    const tensor = find(parts, name, shape);
    if (!("form" in tensor)) readableType(tensor);
  }
  for (const [name, tensor] of parts.tensors) {
    if (expected.has(name) || computesNothing(name, parts.spec)) continue;
    const what = `holds tensor ${tensor.storedName.slice(0, 100)}, which the ${parts.spec.architecture} architecture does not use`;
    throw unsupportedMaths(tensor.file.path, `tensor ${tensor.storedName.slice(0, 100)}`, what);
  }
}

function readValuesOf(tensor: AnyTensor): Float32Array {
  if (!("form" in tensor)) return readTensor(tensor);
  return readQuantisedRows(partsForThreads(tensor.form), tensor.firstRow, tensor.shape[0]);
}

/** Tensors whose values follow from the configuration: old checkpoints store the rotary frequencies. */
const computesNothing = (name: string, spec: ModelSpec): boolean =>
  name.endsWith(".rotary_emb.inv_freq") || (name === HEAD && spec.tiedEmbeddings);

function find(parts: CheckpointParts, name: string, shape: readonly number[]): AnyTensor {
  const tensor = parts.tensors.get(name);
  if (!tensor)
    throw new DraftplanError({
      code: "TENSOR_MISSING",
      at: `${parts.source}: tensor ${name}`,
      what: `not in the file${parts.files.length === 1 ? "" : "s"}; its configuration asks for it`,
      remedy:
        "check that the configuration and the weights belong to the same model, and that the download is complete",
    });
  if (tensor.shape.length === shape.length && tensor.shape.every((n, i) => n === shape[i])) return tensor;
  throw tensorShape(tensor, shape);
}

/** The types that tensors are stored in, with counts, by name. */
export function countTypes(tensors: Iterable<Pick<StoredTensor, "type">>): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { type } of tensors) counts.set(type, (counts.get(type) ?? 0) + 1);
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}
