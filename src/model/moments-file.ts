/** Moments of a model's matrices in one file, from which each is read when its matrix is stored (kernels/fit.ts). */
import { closeSync, openSync, readSync } from "node:fs";
import { matrixShapes } from "./graph/matrices.js";
import type { Moments } from "./kernels/moments.js";
import type { ModelSpec } from "./spec.js";

/** Where a matrix's moments lie, in words that another thread understands. */
export interface MomentsPlace {
  path: string;
  /** bytes from the beginning of the file */
  offset: number;
  inner: number;
  group: number;
}

/** By the matrix's name in the graph, `3.attn.qkv`. */
export type MomentsOf = (matrix: string) => MomentsPlace | undefined;

/** Levels that a matrix's inputs are rounded to, ascending; by the matrix's name in the graph. */
export type LevelsOf = (matrix: string) => Float64Array | undefined;

/** What was learned of a model's matrices from texts that it read. */
export interface Learned {
  moments?: MomentsOf;
  levels?: LevelsOf;
}

/** What codes and scales, or levels of inputs, are found by. */
export interface Fit {
  /** of the text: what is converted by another is another model */
  sha256: string;
  /** reads it with the model; what was learned may lie in a folder of the caller's */
  measure(folder: string): Promise<Learned>;
}

export function readMoments({ path, offset, inner, group }: MomentsPlace): Moments {
  const values = new Float32Array(inner * group);
  const bytes = new Uint8Array(values.buffer);
  const file = openSync(path, "r");
  try {
    for (let done = 0; done < bytes.length; ) {
      const read = readSync(file, bytes, done, bytes.length - done, offset + done);
      if (read === 0) throw new Error(`${path} ends before byte ${offset + bytes.length}`);
      done += read;
    }
  } finally {
    closeSync(file);
  }
  return { inner, group, values };
}

/** Products that fitting a model may take: about a minute of one processor. */
const MOST_PRODUCTS = 8e10;
const LEAST_GROUP = 32;

/**
 * How many inputs of a matrix are looked at together: all of them where the model is small, and fewer the larger it is, for
 * an input costs a product with every one before it in its group.
 */
export function groupsFor(spec: ModelSpec): (inner: number) => number {
  const { attn, mlp, head } = matrixShapes(spec);
  const mlps = new Array(spec.experts?.count ?? 1).fill([mlp.gate_up, mlp.down]).flat();
  const shapes: (readonly [number, number])[] = [attn.qkv, attn.out, ...mlps];
  const most = (limit: number) => (inner: number) => dividing(inner, limit);
  const products = (groupOf: (inner: number) => number) => {
    const of = ([out, inner]: readonly [number, number]) => (out * inner * groupOf(inner)) / 2;
    return spec.layers * shapes.reduce((sum, shape) => sum + of(shape), 0) + of(head.head);
  };
  for (let limit = 4096; limit > LEAST_GROUP; limit /= 2)
    if (products(most(limit)) <= MOST_PRODUCTS) return most(limit);
  return most(LEAST_GROUP);
}

/** All inputs, or the greatest power of two within the limit that divides them. */
function dividing(inner: number, limit: number): number {
  if (inner <= limit) return inner;
  for (let group = limit; group >= LEAST_GROUP; group /= 2) if (inner % group === 0) return group;
  return inner; // its last block is short: nothing smaller has whole blocks
}
