/** Codes of stored tensors that a kernel takes as they are: Q8_0 and Q4_0 are MatMulNBits' own form. */

import { isQuantised, type TargetPrecision } from "../../schema/numerics.js";
import { HALF_NUMBERS } from "../kernels/half.js";
import type { OwnScales } from "../kernels/kernel.js";
import { draftKernel } from "../kernels/registry.js";
import { isStoredType, STORED_TYPES, type StoredType } from "./dequantize.js";
import { isFolderQuantised } from "./quantised/assemble.js";
import type { StoredValues } from "./tensors.js";

const typeOf = (name: string): StoredType | null => (isStoredType(name) ? STORED_TYPES[name] : null);

/** Whether tensors of this type have codes that a kernel takes as they are. */
export const hasOwnCodes = (type: string): boolean => typeOf(type)?.codeBits !== undefined;

/**
 * The scales of some values; null: their type is not of that form.
 * @param first and `count`: whole blocks of the type
 */
export function readScales(
  { file, storedName, type, offset }: StoredValues,
  first: number,
  count: number,
): OwnScales | null {
  const { blockBytes, blockValues, codeBits } = typeOf(type) as StoredType;
  if (codeBits === undefined) return null;
  const bytes = new Uint8Array((count / blockValues) * blockBytes);
  file.readInto(bytes, offset + (first / blockValues) * blockBytes, `tensor ${storedName}`);
  const scales = new Float32Array(count / blockValues);
  for (let block = 0, p = 0; block < scales.length; block++, p += blockBytes)
    scales[block] = HALF_NUMBERS[bytes[p] | (bytes[p + 1] << 8)];
  return { bits: codeBits, scales };
}

/**
 * What a target of this precision does not take as it is stored: `210 tensors in Q4_1`. Floats are not told of: they are
 * quantised once, which is what was asked for.
 * @returns null where nothing is quantised a second time
 */
export function requantisedText(
  storedTypes: Readonly<Record<string, number>>,
  precision: TargetPrecision,
): string | null {
  if (!isQuantised(precision)) return null;
  const { bits } = draftKernel(precision as Parameters<typeof draftKernel>[0]);
  const other = Object.entries(storedTypes).filter(([name]) => {
    const type = typeOf(name);
    if (type === null) return isFolderQuantised(name);
    return type.blockValues > 1 && type.codeBits !== bits;
  });
  return countsText(other);
}

/** What a folder has in the codes of a tool, which a target in floats is made of: `84 tensors in GPTQ 4-bit`. */
export const dequantisedText = (storedTypes: Readonly<Record<string, number>>): string | null =>
  countsText(Object.entries(storedTypes).filter(([name]) => isFolderQuantised(name)));

function countsText(counts: readonly [string, number][]): string | null {
  if (counts.length === 0) return null;
  return counts.map(([name, count]) => `${count} ${count === 1 ? "tensor" : "tensors"} in ${name}`).join(", ");
}
