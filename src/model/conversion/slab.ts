/** Makes the bytes of one slab and writes them where they belong: what a thread of the conversion does (worker.ts). */
import { writeAllSync } from "../../core/write-all.js";
import { openedFile } from "../formats/byte-file.js";
import { readScales } from "../formats/own-codes.js";
import { readQuantisedRows } from "../formats/quantised/read.js";
import { readValues } from "../formats/tensors.js";
import { storedFloats } from "../kernels/floats.js";
import type { StoredRows, WeightPart } from "../kernels/kernel.js";
import { kernelFor } from "../kernels/registry.js";
import { readMoments } from "../moments-file.js";
import { rowsInOrder } from "../rotary-rows.js";
import { madeRows } from "../synthetic/values.js";
import type { TensorOrigin } from "./origin.js";
import type { Form, SlabJob, SlabTarget } from "./rows.js";

export function writeSlab(job: SlabJob): void {
  const { descriptor, rows, firstRow, targets, forms } = job;
  let values: Float32Array | undefined;
  const read = () => (values ??= readSlab(job.origin, firstRow, rows, job.inner));
  forms.forEach((form, f) => {
    storedAs(form, job, read).forEach((part, index) => {
      const bytes = part.bytes();
      for (const target of targets) writeRows(descriptor, bytes, job, target, target.places[f][index]);
    });
  });
}

function storedAs({ by, label }: Form, job: SlabJob, read: () => Float32Array): WeightPart[] {
  const { rows, inner, numerics, moments: at } = job;
  if (by === "floats") return [storedFloats(numerics.float, label, [rows, inner], read)];
  const moments = at && (() => readMoments(at));
  const matrix = { label, out: rows, inner, read, stored: () => storedRows(job), moments };
  return kernelFor(by, numerics.targetPrecision).weights(matrix, numerics);
}

/** The slab's rows, where they are stored as codes already. */
function storedRows({ origin, firstRow, rows, inner }: SlabJob): StoredRows[] {
  if (origin.kind !== "stored") return [];
  const file = openedFile(origin.path, origin.descriptor);
  const own = readScales({ ...origin, file }, firstRow * inner, rows * inner);
  if (own === null) return [];
  return [{ from: 0, rows, bits: own.bits, scales: rowsInOrder(own.scales, rows, origin.interleavedHeadDim) }];
}

/** @returns [rows, inner] fp32 */
export function readSlab(origin: TensorOrigin, firstRow: number, rows: number, inner: number): Float32Array {
  if (origin.kind === "made") return madeRows(origin, firstRow, rows, inner);
  if (origin.kind === "quantised") return readQuantisedRows(origin.form, origin.firstRow + firstRow, rows);
  const file = openedFile(origin.path, origin.descriptor);
  const values = readValues({ ...origin, file }, firstRow * inner, rows * inner);
  return rowsInOrder(values, rows, origin.interleavedHeadDim);
}

/** Rows of a tensor that is turned by `shift` may end behind its last row, and go on at its first. */
function writeRows(
  descriptor: number,
  bytes: Uint8Array,
  { rows, firstRow }: SlabJob,
  { at, rowsOfTensor, shift }: SlabTarget,
  { offset, rowBytes }: SlabTarget["places"][number][number],
): void {
  if (bytes.length !== rows * rowBytes)
    throw new Error(`a slab of ${rows} rows of ${rowBytes} bytes was made as ${bytes.length} bytes`);
  const begin = (firstRow + shift) % rowsOfTensor;
  const untilEnd = Math.min(rows, rowsOfTensor - begin);
  writeAllSync(descriptor, bytes.subarray(0, untilEnd * rowBytes), offset + (at + begin) * rowBytes);
  writeAllSync(descriptor, bytes.subarray(untilEnd * rowBytes), offset + at * rowBytes);
}
