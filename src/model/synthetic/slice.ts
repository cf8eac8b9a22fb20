/**
 * How much of a model is built to be timed: all of it where memory allows, else a slice of distinct layers.
 *
 * All layers have the same shapes, and where they differ in windows or positions the slice has them in the model's own
 * shares; so one layer's cost stands for another's, as long as it is measured as it is met in use: with its weights in memory and not left in a cache by the pass before. So the slice is
 * several times as large as the last-level cache even in its smallest form. Of the head, which is one large matrix, the
 * same share is built as of the layers: a product takes time in proportion to its rows, and as all parts then grow by the
 * same factor, a wrong split between them does not matter (profile/slice.ts). No more than that is built, because every
 * further layer costs time in each of a thousand passes and tells nothing new.
 *
 * Shapes of Qwen2.5-0.5B, 9 of 24 layers, against the whole model in turns (EPYC with 32 MB L3, one thread, medians of
 * processor time): 24/9 of a slice's pass was 1.02 of the whole's at n = 64, 1.03 in int8, 1.00 at n = 1000, 1.00 at q = 5.
 */
import { DraftplanError } from "../../core/errors.js";
import { gib } from "../../core/text.js";
import { DEFAULT_KERNELS, type Kernel } from "../../schema/choice.js";
import { CPU_NUMERICS, FLOAT_BYTES, type Numerics } from "../../schema/numerics.js";
import { matrixShapes } from "../graph/matrices.js";
import { weightParts } from "../graph/weights.js";
import { layerRope, windowOf } from "../layers.js";
import { type ComputesOn, cacheBytesPerToken } from "../needs.js";
import type { ModelSpec } from "../spec.js";

export interface Room {
  /** bytes the process may take */
  memoryBytes: number;
  /** of the last-level cache */
  cacheBytes: number;
  /** tokens the KV cache must hold */
  capacity: number;
  /** what is built of every matrix; default: DEFAULT_KERNELS */
  kernels?: readonly Kernel[];
  /** what the target computes with; default: the CPU's */
  numerics?: Numerics;
  /** whether weights and cache are to lie in a device's memory, once; default: in the host's */
  on?: ComputesOn;
}

export interface Slice {
  /** what is built; its context limit is the room's capacity, which only shortens the rotary tables */
  spec: ModelSpec;
  /** it has all layers and all rows of the vocabulary */
  isWhole: boolean;
  /** of its weights, all forms together */
  weightBytes: number;
  /** what the whole model would need in memory, about */
  wholeBytes: number;
}

/** Drafts leave blocks out: half of the slice should still be more than the cache holds. */
const TIMES_CACHE = 4;
const LEAST_LAYERS = 2;
/** Rows of the vocabulary are built in multiples of this, so that threads and tiles divide them evenly. */
const ROW_MULTIPLE = 1024;
/** The process itself, activations and logits. */
const BASE_BYTES = 512 << 20;
const BYTES_OF = { float32: 4, float16: 2, uint8: 1 } as const;

interface Sizes {
  /** bytes of all weights in every form */
  total: number;
  /** bytes of a layer in its smallest form */
  smallestLayer: number;
  /** bytes of the largest single matrix in fp32, as it is made before it is written */
  largestMatrix: number;
}

/** Added up over the very tensors that would be written. */
export function weightSizes(
  spec: ModelSpec,
  kernels: readonly Kernel[] = DEFAULT_KERNELS,
  numerics: Numerics = CPU_NUMERICS,
): Sizes {
  const sizes: Sizes = { total: 0, smallestLayer: 0, largestMatrix: 0 };
  const unread = () => {
    throw new Error("sizes are asked for, not values");
  };
  const smallest = kernels[kernels.length - 1];
  for (const matrices of Object.values(matrixShapes(spec))) {
    for (const [out, inner] of Object.values(matrices)) {
      sizes.largestMatrix = Math.max(sizes.largestMatrix, out * inner * FLOAT_BYTES.fp32);
    }
  }
  for (const { name, dims, type } of weightParts({ spec, tensor: unread }, kernels, numerics)) {
    const bytes = dims.reduce((product, n) => product * n, BYTES_OF[type]);
    sizes.total += bytes;
    if (type !== "uint8" && dims.length === 2) {
      sizes.largestMatrix = Math.max(sizes.largestMatrix, (bytes / BYTES_OF[type]) * FLOAT_BYTES.fp32);
    }
    if (name.startsWith("0.") && name.includes(`.${smallest}`)) sizes.smallestLayer += bytes;
  }
  return sizes;
}

/**
 * Memory that loading and running takes, about. On the CPU the runtime packs every matrix once more beside the mapped file;
 * a device holds it once. While a matrix is converted its parts, the whole and its quantised form are there together.
 */
export function memoryNeeded(
  spec: ModelSpec,
  capacity: number,
  sizes = weightSizes(spec),
  numerics: Numerics = CPU_NUMERICS,
  on: ComputesOn = "host",
): number {
  const cache = capacity * cacheBytesPerToken(spec, numerics);
  return Math.max((on === "host" ? 2 : 1) * sizes.total + cache, 3 * sizes.largestMatrix) + BASE_BYTES;
}

/**
 * @param source only names the configuration in errors
 * @throws OUT_OF_MEMORY where not even a slice fits
 */
export function chooseSlice(whole: ModelSpec, room: Room, source: string): Slice {
  const spec = { ...whole, contextLimit: Math.min(whole.contextLimit, room.capacity) };
  const sizes = weightSizes(spec, room.kernels, room.numerics);
  const wholeBytes = memoryNeeded(spec, room.capacity, sizes, room.numerics, room.on);
  if (wholeBytes <= room.memoryBytes) return { spec, isWhole: true, weightBytes: sizes.total, wholeBytes };
  const least = TIMES_CACHE * room.cacheBytes;
  const wanted = Math.max(LEAST_LAYERS, Math.ceil(least / sizes.smallestLayer));
  const layers = Math.min(spec.layers, wholePatterns(spec, wanted));
  const rows = ROW_MULTIPLE * Math.ceil((spec.vocabSize * layers) / spec.layers / ROW_MULTIPLE);
  const slice = firstLayers({ ...spec, vocabSize: Math.min(spec.vocabSize, rows) }, layers);
  const sliceSizes = weightSizes(slice, room.kernels, room.numerics);
  const needed = memoryNeeded(slice, room.capacity, sliceSizes, room.numerics, room.on);
  if (layers === spec.layers || needed > room.memoryBytes)
    throw tooLarge(slice, spec, needed, room.memoryBytes, source);
  return { spec: slice, isWhole: false, weightBytes: sliceSizes.total, wholeBytes };
}

/**
 * Where layers differ, the slice has them in the shares in which the model has them: whole repetitions of its pattern.
 * Where there is no pattern, all layers are built.
 */
function wholePatterns(spec: ModelSpec, wanted: number): number {
  const kinds = Array.from({ length: spec.layers }, (_, layer) =>
    JSON.stringify([windowOf(spec, layer), layerRope(spec, layer)?.cos ?? null]),
  );
  const period = kinds.findIndex((_, p) => p > 0 && kinds.every((kind, layer) => kind === kinds[layer % p]));
  return period === -1 ? spec.layers : period * Math.ceil(wanted / period);
}

function firstLayers(spec: ModelSpec, layers: number): ModelSpec {
  const { layerWindows, unrotatedLayers } = spec;
  return {
    ...spec,
    layers,
    ...(layerWindows === undefined ? {} : { layerWindows: layerWindows.slice(0, layers) }),
    ...(unrotatedLayers === undefined ? {} : { unrotatedLayers: unrotatedLayers.filter((layer) => layer < layers) }),
  };
}

function tooLarge(slice: ModelSpec, whole: ModelSpec, needed: number, memory: number, source: string): DraftplanError {
  const what =
    slice.layers === whole.layers
      ? `its ${whole.layers} layers`
      : `a slice of ${slice.layers} of ${whole.layers} layers`;
  return new DraftplanError({
    code: "OUT_OF_MEMORY",
    at: source,
    what: `${what} would take about ${gib(needed)}, and ${gib(memory)} may be used; less than that is not measured`,
    remedy: "Close other programs, give more with --memory GIB, or lower --context.",
  });
}
