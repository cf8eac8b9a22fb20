/** Tensors of a draft: the model's own as they are stored, converted, put into another order of rows, or zeros. */
import { STORED_TYPES, type StoredTypeName } from "../../model/formats/dequantize.js";
import { readableType, type StoredTensor } from "../../model/formats/tensors.js";
import type { DraftKernel } from "../../model/kernels/registry.js";
import type { Kernel } from "../../schema/choice.js";
import { type EncodedType, encode } from "./encode.js";
import { copiedBytes } from "./metadata.js";
import { type GgufTensor, tensorBytes } from "./write.js";

/** A tensor of the model that is exported. */
export interface SourceTensor {
  type: StoredTypeName;
  /** outermost first */
  shape: readonly number[];
  /** its bytes front to back, in pieces */
  chunks(): Iterable<Uint8Array>;
}

/** What a tensor of the draft is called, and how it is made from the model's. */
export interface Derived {
  name: string;
  source: SourceTensor;
  /** undefined: as it is stored */
  type?: EncodedType | undefined;
  /** rows of each head go from half-split to interleaved rotary order */
  interleave?: { heads: number; headDim: number } | undefined;
}

/** A tensor as it lies in a file. */
export const storedSource = (stored: StoredTensor): SourceTensor => ({
  type: readableType(stored),
  shape: stored.shape,
  chunks: () => copiedBytes(stored.file, stored.offset, stored.byteLength, `tensor ${stored.storedName}`),
});

/**
 * The format that stands for a kernel of the plan: blocks of 32 codes of as many bits, symmetric, with a scale each, as
 * MatMulNBits has them; the scale is fp16 here.
 */
const FORMATS: Partial<Record<DraftKernel, EncodedType>> = { int8: "Q8_0", int4: "Q4_0" };

/**
 * The format that a matrix is converted to, undefined where it stays as it is stored: for the target's own kernel, where
 * the stored form takes no more bytes already (it is then nearer to the target, and no slower), and where rows are no
 * whole blocks.
 */
export function convertedType(
  kernel: Kernel,
  { type, shape }: Pick<SourceTensor, "type" | "shape">,
): EncodedType | undefined {
  if (kernel === "target" || shape.length < 2) return undefined;
  const wanted = FORMATS[kernel];
  if (wanted === undefined) throw new Error(`${kernel} has no form in a GGUF, and exports for it are refused before`);
  const whole = shape[shape.length - 1] % STORED_TYPES[wanted].blockValues === 0;
  return whole && bytesANumber(type) > bytesANumber(wanted) ? wanted : undefined;
}

const bytesANumber = (type: StoredTypeName): number => STORED_TYPES[type].blockBytes / STORED_TYPES[type].blockValues;

export function derivedTensor({ name, source, type, interleave }: Derived): GgufTensor {
  const { shape } = source;
  const asStored = () => (interleave === undefined ? source.chunks() : interleavedRows(source, interleave));
  if (type === undefined) return { name, type: source.type, shape, chunks: asStored };
  return { name, type, shape, chunks: () => convert(source.type, asStored(), type) };
}

/** Nought in every number. */
export function zeroTensor(name: string, type: EncodedType, shape: readonly number[]): GgufTensor {
  const bytes = tensorBytes({ name, type, shape });
  return { name, type, shape, chunks: () => [new Uint8Array(bytes)] };
}

/** Stored bytes, decoded and encoded again, in pieces that are whole blocks of both formats. */
function* convert(from: StoredTypeName, chunks: Iterable<Uint8Array>, to: EncodedType): Generator<Uint8Array> {
  const { blockBytes, blockValues, decode } = STORED_TYPES[from];
  const unit = (Math.max(blockValues, STORED_TYPES[to].blockValues) / blockValues) * blockBytes;
  for (const bytes of wholeUnits(chunks, unit)) {
    const values = new Float32Array((bytes.length / blockBytes) * blockValues);
    decode(bytes, bytes.length / blockBytes, values, 0);
    yield* encode(to, values);
  }
}

/**
 * Within each head, row j · headDim/2 + i moves to row 2i + j (`LlamaModel.permute` of llama.cpp's converter; the inverse
 * of rotary-rows.ts `halfSplitRows`). Rows are moved as they are stored.
 */
function* interleavedRows(
  { type, shape, chunks }: SourceTensor,
  { heads, headDim }: NonNullable<Derived["interleave"]>,
): Generator<Uint8Array> {
  const rowBytes = tensorBytes({ name: "", type, shape }) / (heads * headDim);
  const headBytes = headDim * rowBytes;
  const half = headDim / 2;
  for (const bytes of wholeUnits(chunks(), headBytes)) {
    const out = new Uint8Array(bytes.length);
    for (let from = 0; from < bytes.length; from += rowBytes) {
      const row = (from % headBytes) / rowBytes;
      const target = 2 * (row % half) + Math.floor(row / half);
      out.set(bytes.subarray(from, from + rowBytes), from + (target - row) * rowBytes);
    }
    yield out;
  }
}

/** The same bytes in pieces of whole units: what is left of a piece waits for the next. */
function* wholeUnits(chunks: Iterable<Uint8Array>, unit: number): Generator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array(0);
  for (const chunk of chunks) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const whole = bytes.length - (bytes.length % unit);
    rest = bytes.subarray(whole);
    if (whole > 0) yield bytes.subarray(0, whole);
  }
  if (rest.length > 0) throw new RangeError(`${rest.length} bytes are left over of units of ${unit}`);
}
