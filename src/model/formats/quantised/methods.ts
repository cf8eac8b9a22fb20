/** What each method's tensors are called, in which shapes they lie, and the form that they make (form.ts). */
import { corrupt, tensorShape } from "../../failures.js";
import type { StoredTensor } from "../stored.js";
import { floats, groupSizeOf, requireIntegers, requireShape, requireWords, wholeNumber, wordShape } from "./checks.js";
import type { Quantisation } from "./config.js";
import type { Codes, QuantisedForm, Zeros } from "./form.js";

/** Tensors beside a matrix's codes, by what follows the name of its module. */
export interface Parts {
  /** @returns null: not there */
  find(part: string): StoredTensor | null;
  /** @throws CHECKPOINT_CORRUPT */
  need(part: string): StoredTensor;
}

/** Frantar et al. 2022, as AutoGPTQ writes it: [inner · bits / 32, rows], groups [groups, rows]. */
export function gptqForm(
  qweight: StoredTensor,
  parts: Parts,
  { bits, plus, groupSize: size }: Quantisation & { method: "gptq" },
): QuantisedForm {
  const [words, rows] = wordShape(qweight);
  const inner = wholeNumber(qweight, (words * 32) / bits);
  const scales = floats(parts.need("scales"));
  const [groups] = scales.shape;
  requireShape(scales, [groups, rows]);
  const zeros = parts.need("qzeros");
  requireWords(zeros, [groups, Math.ceil((rows * bits) / 32)]);
  const groupOf = parts.find("g_idx");
  if (groupOf !== null) requireIntegers(groupOf, inner);
  return {
    ...{ rows, inner, groups, groupSize: groupOf === null ? groupSizeOf(scales, inner, groups, size) : 0 },
    codes: { part: qweight, packed: "columns", bits, plus: 0 },
    zeros: { part: zeros, packed: "across", bits, plus },
    scales: { part: scales, groupsFirst: true, rowBlock: 1 },
    ...{ groupOf, biases: null },
  };
}

/** Lin et al. 2023, as AutoAWQ writes it (`gemm`): [inner, rows / 8], groups [groups, rows]. */
export function awqForm(
  qweight: StoredTensor,
  parts: Parts,
  { groupSize: size }: Quantisation & { method: "awq" },
): QuantisedForm {
  const [inner, words] = wordShape(qweight);
  const rows = 8 * words;
  const scales = floats(parts.need("scales"));
  const [groups] = scales.shape;
  requireShape(scales, [groups, rows]);
  const zeros = parts.need("qzeros");
  requireWords(zeros, [groups, words]);
  return {
    ...{ rows, inner, groups, groupSize: groupSizeOf(scales, inner, groups, size) },
    codes: { part: qweight, packed: "awq" },
    zeros: { part: zeros, packed: "awq" },
    scales: { part: scales, groupsFirst: true, rowBlock: 1 },
    ...{ groupOf: null, biases: null },
  };
}

/** mlx.core.quantize, affine: [rows, inner · bits / 32], scales and biases [rows, groups]. */
export function mlxForm(
  weight: StoredTensor,
  parts: Parts,
  { bits: usual, groupSize: size, others }: Quantisation & { method: "mlx" },
): QuantisedForm {
  const module = weight.storedName.slice(0, -".weight".length);
  const bits = Object.hasOwn(others, module) ? others[module] : usual;
  const [rows, words] = wordShape(weight);
  const inner = wholeNumber(weight, (words * 32) / bits);
  const scales = floats(parts.need("scales"));
  const [, groups] = scales.shape;
  requireShape(scales, [rows, groups]);
  const biases = floats(parts.need("biases"));
  requireShape(biases, [rows, groups]);
  return {
    ...{ rows, inner, groups, groupSize: groupSizeOf(scales, inner, groups, size) },
    codes: { part: weight, packed: "rows", bits, plus: 0 },
    scales: { part: scales, groupsFirst: false, rowBlock: 1 },
    ...{ zeros: null, groupOf: null, biases },
  };
}

/** compressed-tensors' pack-quantized: signed codes stored above their least, a scale a group or a row. */
export function packedForm(packed: StoredTensor, parts: Parts, packedBits: readonly number[]): QuantisedForm {
  const [rows, words] = wordShape(packed);
  const inner = shapeOf(parts.need("weight_shape"), rows);
  const fitting = packedBits.filter((bits) => Math.ceil((inner * bits) / 32) === words);
  if (fitting.length !== 1) {
    const configured = packedBits.join(" or ") || "no number of";
    throw corrupt(
      packed.file.path,
      `tensor ${packed.storedName}`,
      `${words} words a row for ${inner} codes of ${configured} bits`,
    );
  }
  const [bits] = fitting;
  const { scales, groups } = scaleTable(floats(parts.need("weight_scale")), rows, inner, null);
  const zero = parts.find("weight_zero_point");
  const plus = -(2 ** (bits - 1));
  if (zero !== null && zero.type !== "I8") requireWords(zero, [Math.ceil((rows * bits) / 32), groups]);
  const groupOf = parts.find("weight_g_idx");
  if (groupOf !== null) requireIntegers(groupOf, inner);
  return {
    ...{ rows, inner, groups, groupSize: groupSizeOf(scales.part, inner, groups, null) },
    codes: { part: packed, packed: "rows", bits, plus },
    zeros:
      zero && (zero.type === "I8" ? unpackedZeros(zero, rows, groups) : { part: zero, packed: "down", bits, plus }),
    ...{ scales, groupOf, biases: null },
  };
}

/** Types whose codes are a byte each, with what their scales may be called. */
export const SCALED = { F8_E4M3: true, F8_E5M2: true, I8: true } as const;

/** FP8 of transformers and vLLM, and compressed-tensors' naive formats: scales of the whole, of rows, groups or blocks. */
export function scaledForm(
  weight: StoredTensor,
  parts: Parts,
  { block }: Quantisation & { method: "scaled" },
): QuantisedForm | null {
  const scale = parts.find("weight_scale_inv") ?? parts.find("weight_scale");
  if (scale === null) return null; // refused by its type
  if (weight.shape.length !== 2) throw tensorShape(weight, [1, 1]);
  const [rows, inner] = weight.shape;
  const { scales, groups, inBlocks } = scaleTable(floats(scale), rows, inner, block);
  const zero = parts.find("weight_zero_point");
  return {
    ...{ rows, inner, groups },
    groupSize: inBlocks ? (block as [number, number])[1] : groupSizeOf(scale, inner, groups, null),
    codes: { part: weight, packed: "no" } satisfies Codes<StoredTensor>,
    zeros: zero && unpackedZeros(zero, rows, groups),
    ...{ scales, groupOf: null, biases: null },
  };
}

function unpackedZeros(zero: StoredTensor, rows: number, groups: number): Zeros<StoredTensor> {
  const all = zero.shape.reduce((a, b) => a * b, 1);
  if (zero.type !== "I8" || all !== rows * groups) throw tensorShape(zero, [rows, groups]);
  return { part: zero, packed: "no" };
}

/** By its shape: of the tensor [1] or [], of rows [rows] or [rows, 1], of groups [rows, groups], or of blocks. */
function scaleTable(part: StoredTensor, rows: number, inner: number, block: readonly [number, number] | null) {
  const [of = 1, groups = 1, ...more] = part.shape;
  if (more.length > 0 || groups < 1) throw tensorShape(part, [rows, 1]);
  const table = (rowBlock: number, inBlocks = false) => ({
    ...{ groups, inBlocks },
    scales: { part, groupsFirst: false, rowBlock },
  });
  if (block !== null && of === Math.ceil(rows / block[0]) && groups === Math.ceil(inner / block[1]))
    return table(block[0], true);
  if (of === rows) return table(1);
  if (of === 1) return table(rows);
  throw tensorShape(part, [rows, groups]);
}

/** `weight_shape`: int64 or int32 [2]. @returns inputs */
function shapeOf(tensor: StoredTensor, rows: number): number {
  const width = { I64: 8, I32: 4 }[tensor.type];
  if (width === undefined || tensor.byteLength !== 2 * width) throw tensorShape(tensor, [2]);
  const bytes = new Uint8Array(2 * width);
  tensor.file.readInto(bytes, tensor.offset, `tensor ${tensor.storedName}`);
  const view = new DataView(bytes.buffer);
  const [given, inner] = [0, width].map((at) =>
    width === 8 ? Number(view.getBigInt64(at, true)) : view.getInt32(at, true),
  );
  if (given === rows && inner > 0 && inner <= 2 ** 31) return inner;
  throw corrupt(
    tensor.file.path,
    `tensor ${tensor.storedName}`,
    `says [${given}, ${inner}], and there are ${rows} rows of codes`,
  );
}
