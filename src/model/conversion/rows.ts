/**
 * Some rows of a matrix at a time. A kernel stores every row by itself (kernels/kernel.ts), so the bytes of some rows are
 * those rows of the whole's bytes: they can be made in any order, by any thread, and no more than these rows are ever in
 * memory.
 */
import type { Numerics } from "../../schema/numerics.js";
import type { KernelRole } from "../kernels/registry.js";
import type { MomentsPlace } from "../moments-file.js";
import type { TensorOrigin } from "./origin.js";

/** A tensor [rows, inner] of a checkpoint, by its canonical name. */
export interface RowTensor {
  name: string;
  rows: number;
}

/** A matrix that is the rows of tensors, one tensor under the other. One object for all parts that are made of it. */
export interface MatrixRows {
  inner: number;
  numerics: Numerics;
  tensors: readonly RowTensor[];
  /** of its inputs, where codes and scales are fitted to them */
  moments?: MomentsPlace | undefined;
}

/** What a part of the weight file is made of. */
export interface RowsOfPart {
  matrix: MatrixRows;
  /** the kernel that stores it; "floats": the embedding table, which no kernel reads */
  by: KernelRole | "floats";
  /** the kernel's label, for messages */
  label: string;
  /** which of the tensors that the kernel stores */
  index: number;
}

/** One way in which a slab is stored. */
export interface Form {
  by: KernelRole | "floats";
  label: string;
}

/** Where a form's tensors lie in the weight file, each with the bytes of a row. */
export type FormPlaces = { offset: number; rowBytes: number }[];

/** Rows of one tensor, to be stored in every form and written to every target. */
export interface SlabJob {
  /** of the weight file */
  descriptor: number;
  origin: TensorOrigin;
  firstRow: number;
  rows: number;
  inner: number;
  numerics: Numerics;
  moments?: MomentsPlace | undefined;
  forms: Form[];
  targets: SlabTarget[];
}

/** One matrix of the weight file that the slab's tensor is part of. */
export interface SlabTarget {
  /** row of the matrix at which the tensor begins */
  at: number;
  rowsOfTensor: number;
  shift: number;
  /** by form */
  places: FormPlaces[];
}

/**
 * Numbers of a slab. A thread holds it in fp32 (16 MiB), as it is read, and in every form, about 40 MiB together.
 */
const SLAB_VALUES = 4 << 20;

/** Rows of made-up tensors that one seed gives (synthetic/weights.ts): as many as come to so many numbers. */
const SEEDED_VALUES = 1 << 20;
export const seededRows = (inner: number): number => Math.max(1, Math.floor(SEEDED_VALUES / inner));

/** Rows that must not be parted. */
function unitOf(origin: TensorOrigin, inner: number): number {
  if (origin.kind === "made") return seededRows(inner);
  return origin.kind === "stored" ? (origin.interleavedHeadDim ?? 1) : 1;
}

/** Parts that are stored from one matrix, with their places in the file. */
export interface StoredMatrix {
  matrix: MatrixRows;
  /** of its tensors */
  origins: TensorOrigin[];
  parts: { rows: RowsOfPart; place: { offset: number; length: number } }[];
}

/** One tensor of a matrix, wherever it is written to. */
export interface TensorJob extends Omit<SlabJob, "firstRow" | "rows" | "descriptor"> {
  rowsOfTensor: number;
}

/** The slabs of a tensor, from its first row on. */
export function* slabsOf(
  { rowsOfTensor, ...job }: TensorJob,
  descriptor: number,
  slabValues = SLAB_VALUES,
): Generator<SlabJob> {
  const unit = unitOf(job.origin, job.inner);
  const step = unit * Math.max(1, Math.floor(slabValues / job.inner / unit));
  for (let firstRow = 0; firstRow < rowsOfTensor; firstRow += step)
    yield { ...job, descriptor, firstRow, rows: Math.min(step, rowsOfTensor - firstRow) };
}

/** By matrix. What is made from the same seed is made once, with the first matrix, and written to all its places. */
export function tensorJobs(matrices: readonly StoredMatrix[]): Map<MatrixRows, TensorJob[]> {
  const made = new Map<string, TensorJob>();
  const jobsOf = ({ matrix: { inner, numerics, tensors, moments }, origins, parts }: StoredMatrix): TensorJob[] => {
    const out = tensors.reduce((sum, { rows }) => sum + rows, 0);
    const forms = formsOf(parts, out);
    let at = 0;
    return tensors.flatMap(({ rows: rowsOfTensor }, i) => {
      const origin = origins[i];
      const shift = origin.kind === "made" ? origin.shift : 0;
      const target = { at, rowsOfTensor, shift, places: forms.map(({ places }) => places) };
      at += rowsOfTensor;
      const key =
        origin.kind === "made" && JSON.stringify([origin.name, rowsOfTensor, inner, forms.map(({ by }) => by)]);
      const same = key ? made.get(key) : undefined;
      if (same !== undefined) {
        same.targets.push(target);
        return [];
      }
      const stored = forms.map(({ by, label }) => ({ by, label }));
      const job = { origin, inner, numerics, moments, rowsOfTensor, forms: stored, targets: [target] };
      if (key) made.set(key, job);
      return [job];
    });
  };
  return new Map(matrices.map((one) => [one.matrix, jobsOf(one)]));
}

function formsOf(parts: StoredMatrix["parts"], out: number): (Form & { places: FormPlaces })[] {
  const forms = new Map<string, Form & { places: FormPlaces }>();
  for (const { rows, place } of parts) {
    const form = forms.get(rows.label) ?? { by: rows.by, label: rows.label, places: [] };
    forms.set(rows.label, form);
    form.places[rows.index] = { offset: place.offset, rowBytes: place.length / out };
  }
  return [...forms.values()];
}
