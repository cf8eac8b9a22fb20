/** Whether the parts of a quantised matrix belong together. */
import { corrupt, tensorShape } from "../../failures.js";
import { isStoredType } from "../dequantize.js";
import type { StoredTensor } from "../stored.js";

/** The groups' size as their number says, or as the configuration does where the last group is a smaller one. */
export function groupSizeOf(scales: StoredTensor, inner: number, groups: number, configured: number | null): number {
  const size = inner % groups === 0 ? inner / groups : (configured ?? 0);
  if (size > 0 && Math.ceil(inner / size) === groups) return size;
  throw corrupt(
    scales.file.path,
    `tensor ${scales.storedName}`,
    `has ${groups} groups for ${inner} inputs${configured === null ? "" : ` in groups of ${configured}`}`,
  );
}

export function wordShape(tensor: StoredTensor): [number, number] {
  const [lines = 0, columns = 0] = tensor.shape;
  if (lines < 1 || columns < 1) throw tensorShape(tensor, [1, 1]);
  requireWords(tensor, [lines, columns]);
  return [lines, columns];
}

export function requireWords(tensor: StoredTensor, shape: readonly number[]): void {
  requireShape(tensor, shape);
  if (!["I32", "U32"].includes(tensor.type)) throw wrongType(tensor, "words of 32 bits");
}

export function requireIntegers(tensor: StoredTensor, count: number): void {
  requireShape(tensor, [count]);
  if (tensor.type !== "I32") throw wrongType(tensor, "I32");
}

export function requireShape(tensor: StoredTensor, shape: readonly number[]): void {
  if (tensor.shape.length !== shape.length || shape.some((n, i) => n !== tensor.shape[i] || n < 1))
    throw tensorShape(tensor, shape);
}

export function floats(tensor: StoredTensor): StoredTensor {
  const { type } = tensor;
  if (type === "F8_E8M0" || (isStoredType(type) && ["F32", "F16", "BF16"].includes(type))) return tensor;
  throw wrongType(tensor, "floats");
}

const wrongType = (tensor: StoredTensor, wanted: string) =>
  corrupt(tensor.file.path, `tensor ${tensor.storedName}`, `is ${tensor.type} and not ${wanted}`);

export function wholeNumber(tensor: StoredTensor, value: number): number {
  if (Number.isInteger(value)) return value;
  throw corrupt(tensor.file.path, `tensor ${tensor.storedName}`, `its words hold ${value} codes a row`);
}
