/** Rows of a quantised matrix as numbers: what was stored, multiplied out and rounded once, to fp32. */
import { corrupt } from "../../failures.js";
import { openedFile } from "../byte-file.js";
import { isStoredType } from "../dequantize.js";
import { product, readValues } from "../tensors.js";
import type { QuantisedForm, StoredPart } from "./form.js";
import { BYTE_NUMBERS, unpackAwqWord, unpackStream } from "./unpack.js";

type Form = QuantisedForm<StoredPart>;

/** @returns [count, inner] fp32. @throws CHECKPOINT_CORRUPT, FILE_UNREADABLE */
export function readQuantisedRows(form: Form, first: number, count: number): Float32Array {
  const { inner, groups } = form;
  const values = codesOf(form, first, count);
  const groupOf = groupsOf(form);
  const scaleAt = scaleOf(form);
  const zeros = form.zeros && zerosOf(form, form.zeros);
  const biases = form.biases && numbersOf(form.biases);
  for (let row = 0, at = 0; row < count; row++) {
    const ofRow = (first + row) * groups;
    for (let i = 0; i < inner; i++, at++) {
      const group = groupOf[i];
      const code = zeros === null ? values[at] : values[at] - zeros[ofRow + group];
      const scaled = code * scaleAt(first + row, group);
      values[at] = biases === null ? scaled : scaled + biases[ofRow + group];
    }
  }
  return values;
}

/** [count, inner] */
function codesOf({ codes, inner, rows }: Form, first: number, count: number): Float32Array {
  const out = new Float32Array(count * inner);
  const { part } = codes;
  switch (codes.packed) {
    case "rows": {
      const words = wordsOf(part, first, count, 0);
      for (let row = 0; row < count; row++) {
        const from = [row * part.shape[1], 1] as const;
        unpackStream(words, from, codes.bits, inner, codes.plus, { out, at: row * inner, step: 1 });
      }
      return out;
    }
    case "columns": {
      const words = wordsOf(part, first, count, 1);
      for (let row = 0; row < count; row++)
        unpackStream(words, [row, count], codes.bits, inner, codes.plus, { out, at: row * inner, step: 1 });
      return out;
    }
    case "awq": {
      const before = Math.floor(first / 8);
      const width = Math.ceil((first + count) / 8) - before;
      unpackAwq(wordsOf(part, before, width, 1), { lines: inner, width }, first - 8 * before, count, out);
      return out;
    }
    case "no": {
      const numbers = BYTE_NUMBERS[part.type];
      const bytes = bytesOf(part, first * inner, count * inner);
      for (let i = 0; i < bytes.length; i++) out[i] = numbers[bytes[i]];
      return out;
    }
    default:
      throw new Error(`${rows} rows packed as ${JSON.stringify(codes satisfies never)}`);
  }
}

/** @param words [lines, width]; `out` [count, lines], its first row the one that is `skipped` further */
function unpackAwq(
  words: Uint32Array,
  { lines, width }: { lines: number; width: number },
  skipped: number,
  count: number,
  out: Float32Array,
): void {
  for (let line = 0, at = 0; line < lines; line++)
    for (let word = 0; word < width; word++, at++) {
      const before = 8 * word - skipped;
      const into = (neighbour: number) => {
        const row = before + neighbour;
        return row < 0 || row >= count ? -1 : row * lines + line;
      };
      unpackAwqWord(words[at], into, out);
    }
}

/** [rows, groups] */
function zerosOf({ rows, groups }: Form, zeros: NonNullable<Form["zeros"]>): Float32Array {
  const { part } = zeros;
  const out = new Float32Array(rows * groups);
  switch (zeros.packed) {
    case "across": {
      const [, width] = part.shape;
      const words = wordsOf(part, 0, groups, 0);
      for (let group = 0; group < groups; group++)
        unpackStream(words, [group * width, 1], zeros.bits, rows, zeros.plus, { out, at: group, step: groups });
      return out;
    }
    case "down": {
      const words = wordsOf(part, 0, part.shape[0], 0);
      for (let group = 0; group < groups; group++)
        unpackStream(words, [group, groups], zeros.bits, rows, zeros.plus, { out, at: group, step: groups });
      return out;
    }
    case "awq": {
      const [, width] = part.shape;
      unpackAwq(wordsOf(part, 0, groups, 0), { lines: groups, width }, 0, rows, out);
      return out;
    }
    case "no":
      return bytesAsNumbers(part);
    default:
      throw new Error(`zeros packed as ${JSON.stringify(zeros satisfies never)}`);
  }
}

function scaleOf({ scales, rows, groups }: Form): (row: number, group: number) => number {
  const { part, groupsFirst, rowBlock } = scales;
  const numbers = numbersOf(part);
  const blocks = Math.ceil(rows / rowBlock);
  if (groupsFirst) return (row, group) => numbers[group * blocks + Math.floor(row / rowBlock)];
  if (rowBlock === 1) return (row, group) => numbers[row * groups + group];
  return (row, group) => numbers[Math.floor(row / rowBlock) * groups + group];
}

/** [inner] */
function groupsOf({ inner, groups, groupSize, groupOf }: Form): Int32Array {
  const inOrder = () => Int32Array.from({ length: inner }, (_, i) => Math.floor(i / groupSize));
  if (groupOf === null) return inOrder();
  const bytes = bytesOf(groupOf, 0, 4 * inner);
  const given = new Int32Array(bytes.buffer, bytes.byteOffset, inner);
  if (given.includes(-1)) return inOrder(); // compressed-tensors: not set
  const wrong = given.find((group) => group < 0 || group >= groups);
  if (wrong !== undefined)
    throw corrupt(groupOf.path, `tensor ${groupOf.storedName}`, `names group ${wrong} of ${groups} groups`);
  return given;
}

/** Floats of a whole tensor. */
function numbersOf(part: StoredPart): Float32Array {
  const { type, path, descriptor } = part;
  if (!isStoredType(type)) return bytesAsNumbers(part);
  return readValues({ ...part, type, file: openedFile(path, descriptor) }, 0, product(part.shape));
}

function bytesAsNumbers(part: StoredPart): Float32Array {
  const numbers = BYTE_NUMBERS[part.type];
  return Float32Array.from(bytesOf(part, 0, product(part.shape)), (byte) => numbers[byte]);
}

function bytesOf({ path, descriptor, storedName, offset }: StoredPart, first: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  openedFile(path, descriptor).readInto(bytes, offset + first, `tensor ${storedName}`);
  return bytes;
}

/** Lines (0) or columns (1) of a tensor of words. @returns [count, columns], or [lines, count] */
function wordsOf(part: StoredPart, first: number, count: number, axis: 0 | 1): Uint32Array {
  const [lines, columns] = part.shape;
  const file = openedFile(part.path, part.descriptor);
  const where = `tensor ${part.storedName}`;
  if (axis === 0 || count === columns) {
    const words = new Uint32Array(axis === 0 ? count * columns : lines * columns);
    file.readInto(new Uint8Array(words.buffer), part.offset + (axis === 0 ? 4 * first * columns : 0), where);
    return words;
  }
  const words = new Uint32Array(lines * count);
  for (let line = 0; line < lines; line++) {
    const into = new Uint8Array(words.buffer, 4 * line * count, 4 * count);
    file.readInto(into, part.offset + 4 * (line * columns + first), where);
  }
  return words;
}
