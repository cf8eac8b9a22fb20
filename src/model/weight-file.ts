/**
 * Weights in one file, each at a page boundary so that whoever reads it can map it. Of a small model one tensor is in memory
 * at a time; of a large one threads make its matrices, some rows at a time, and write them where they belong.
 */
import { type FileHandle, open } from "node:fs/promises";
import { writeAll } from "../core/write-all.js";
import { type MatrixRows, type StoredMatrix, slabsOf, tensorJobs } from "./conversion/rows.js";
import { startThreads, type ThreadOptions } from "./conversion/threads.js";
import type { Place } from "./graph/branch.js";
import type { ModelPart } from "./graph/weights.js";
import type { WeightPart } from "./kernels/kernel.js";
import type { WeightSource } from "./spec.js";

const PAGE = 4096;

export interface WeightsToWrite {
  /** in the order in which they lie in the file */
  parts(): Iterable<ModelPart>;
  /** told of every part that was written, or that threads are about to have written, in the same order */
  written(part: WeightPart): Promise<void>;
  /** where matrices come from; left out: every part is made by its own `bytes` */
  origin?: WeightSource["origin"] | undefined;
}

const upToPage = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE;

const TYPE_BYTES = { float32: 4, float16: 2, uint8: 1 } as const;

/** Bytes that a part takes in the file, known before it is made. */
const pagesOf = (part: WeightPart): number => upToPage(bytesOf(part));

/** Bytes of the file that parts make. */
export function fileBytes(parts: Iterable<WeightPart>): number {
  let bytes = 0;
  for (const part of parts) bytes += pagesOf(part);
  return bytes;
}

const bytesOf = ({ dims, type }: WeightPart): number => dims.reduce((product, d) => product * d, TYPE_BYTES[type]);

/**
 * Writes a new file, which has reached the disk when this returns.
 * @returns where each part lies
 * @throws what the file system says, and what the parts throw
 */
export async function writeWeights(
  path: string,
  weights: WeightsToWrite,
  options?: ThreadOptions,
): Promise<Map<string, Place>> {
  const handle = await open(path, "wx");
  try {
    const parts = [...weights.parts()];
    const places = placesOf(parts);
    await writeParts(handle, parts, places, weights, options);
    await handle.datasync(); // a crash must not leave a file of the right size with other bytes
    return places;
  } finally {
    await handle.close();
  }
}

function placesOf(parts: readonly WeightPart[]): Map<string, Place> {
  const places = new Map<string, Place>();
  let offset = 0;
  for (const part of parts) {
    places.set(part.name, { dims: part.dims, type: part.type, offset, length: bytesOf(part) });
    offset += pagesOf(part);
  }
  return places;
}

async function writeParts(
  handle: FileHandle,
  parts: readonly ModelPart[],
  places: ReadonlyMap<string, Place>,
  { written, origin }: WeightsToWrite,
  options: ThreadOptions | undefined,
): Promise<void> {
  const matrices = matricesInRows(parts, places, origin);
  const threads = startThreads(bytesInRows(matrices), options);
  try {
    const jobs = threads === undefined ? undefined : tensorJobs(matrices);
    for (const part of parts) {
      const made = part.rows && jobs?.get(part.rows.matrix);
      if (made === undefined || threads === undefined) await writePart(handle, part, places.get(part.name) as Place);
      else {
        for (const job of made.splice(0))
          for (const slab of slabsOf(job, handle.fd, options?.slabValues))
            await threads.add({ kind: "slab", job: slab });
      }
      await written(part);
    }
    await threads?.finish();
  } finally {
    await threads?.close(); // before the file is: its number may then be another's
  }
  await handle.truncate(fileBytes(parts));
}

async function writePart(handle: FileHandle, part: WeightPart, { offset, length }: Place): Promise<void> {
  const bytes = part.bytes();
  if (bytes.length !== length) throw new Error(`${part.name} was made as ${bytes.length} bytes, not ${length}`);
  await writeAll(handle, bytes, offset);
}

/** Matrices all of whose tensors other threads can read, with the parts that are made of them. */
function matricesInRows(
  parts: readonly ModelPart[],
  places: ReadonlyMap<string, Place>,
  origin: WeightSource["origin"],
): StoredMatrix[] {
  const matrices = new Map<MatrixRows, StoredMatrix | null>();
  for (const { name, rows } of parts) {
    if (rows === undefined || origin === undefined) continue;
    const { matrix } = rows;
    if (!matrices.has(matrix)) {
      const origins = matrix.tensors.map((tensor) => origin(tensor.name, [tensor.rows, matrix.inner]));
      const found = origins.filter((one) => one !== null);
      matrices.set(matrix, found.length < origins.length ? null : { matrix, origins: found, parts: [] });
    }
    matrices.get(matrix)?.parts.push({ rows, place: places.get(name) as Place });
  }
  return [...matrices.values()].filter((one) => one !== null);
}

const bytesInRows = (matrices: readonly StoredMatrix[]): number =>
  matrices.reduce((sum, { parts }) => sum + parts.reduce((bytes, { place }) => bytes + place.length, 0), 0);
