/** Keys and values of every layer. Past and present are one buffer: a pass writes its keys and values where they stay. */
import { storedHeadDim } from "../../model/graph/heads.js";
import type { ModelSpec } from "../../model/spec.js";
import type { FloatType } from "../../schema/numerics.js";
import { type BoundInputs, FLOAT_ARRAYS, FLOAT_ELEMENT, type FloatArray, Handles, hostTensors } from "../bindings.js";
import type { OrtApi, Pointer } from "../ort-api.js";
import type { CacheMemory } from "../providers.js";
import { CACHE_PARTS, CacheAllocator, type CachePart, type CacheTensor } from "./memory.js";
import { type MoverOwner, RowMover } from "./row-mover.js";
import { copyRows, moveRows, numbersOf, pasteRows } from "./rows.js";
import type { CacheRows } from "./saved-rows.js";

/** What a cache is made with, and bound to. */
export interface CacheOwner {
  api: OrtApi;
  session: Pointer;
  binding: Pointer;
  inputs: BoundInputs;
  handles: Handles;
  memory: CacheMemory;
  /** for a graph of their own that moves rows; left out: they are moved where they lie */
  mover?: MoverOwner | undefined;
}

export class KvCache {
  /** [layers] */
  private readonly layers: Record<CachePart, CacheTensor>[] = [];
  /** [1, kvHeads, capacity, storedHeadDim] */
  private readonly shape: BigInt64Array;
  /** where a graph moves its rows */
  private readonly mover: RowMover | undefined;
  /** for memory of the same kind */
  readonly allocator: CacheAllocator;

  constructor(
    private readonly owner: CacheOwner,
    private readonly spec: ModelSpec,
    readonly capacity: number,
    private readonly float: FloatType,
  ) {
    const { api, handles, session, memory, mover } = owner;
    const shape = [1, spec.kvHeads, capacity, storedHeadDim(spec)];
    this.shape = BigInt64Array.from(shape, BigInt);
    this.allocator = new CacheAllocator(api, handles, session, memory, float);
    for (let layer = 0; layer < spec.layers; layer++)
      this.layers.push({ key: this.allocator.make(shape), value: this.allocator.make(shape) });
    this.mover = mover && new RowMover(mover, this.layers, spec, float);
    this.bindTo(owner);
  }

  tensors(layer: number): Readonly<Record<CachePart, CacheTensor>> {
    return this.layers[layer];
  }

  /** Passes of this binding read and write it. */
  bindTo(at: Pick<CacheOwner, "binding" | "inputs">): void {
    this.layers.forEach((_, layer) => this.bindLayer(at, layer));
  }

  bindLayer({ binding, inputs }: Pick<CacheOwner, "binding" | "inputs">, layer: number): void {
    const { api, memory } = this.owner;
    for (const part of CACHE_PARTS) {
      const { tensor } = this.layers[layer][part];
      inputs.bind(`past.${layer}.${part}`, tensor, memory.on === "host" ? "every pass" : "never");
      api.check("BindOutput", binding, `present.${layer}.${part}`, tensor);
    }
  }

  /** Moves keys and values of rows behind `position` to position, position + 1, …; the rows ascend. */
  keepRows(position: number, rows: ArrayLike<number>): void {
    if (this.mover !== undefined) {
      this.mover.keepRows(position, rows);
      return;
    }
    for (const layer of this.layers) {
      for (const { view } of [layer.key, layer.value])
        if (view !== null) moveRows(view, this.spec, this.capacity, position, rows);
    }
  }

  /**
   * Rows out of the cache and back; undefined: it lies in a device's memory.
   * @param touched told before each, from which position on it is
   */
  rows(touched: (position: number) => void): CacheRows | undefined {
    const { spec, capacity } = this;
    const found = this.layers.flatMap((layer) => CACHE_PARTS.map((part) => layer[part].view));
    const views = found.filter((view) => view !== null);
    if (views.length < found.length) return undefined;
    return {
      save: (position, count) => {
        touched(position + count); // nothing is written
        const parts = views.map((view) => copyRows(view, spec, capacity, position, count));
        return { position, count, parts, bytes: parts.reduce((sum, { byteLength }) => sum + byteLength, 0) };
      },
      restore: (saved) => {
        touched(saved.position);
        for (const [i, view] of views.entries()) pasteRows(view, spec, capacity, saved, saved.parts[i]);
      },
    };
  }

  /** of keys or values of one layer */
  private numbers(): number {
    return this.spec.kvHeads * this.capacity * storedHeadDim(this.spec);
  }

  /**
   * Copies keys or values of one layer.
   * @param handOn runs a pass that skips every block, and so hands the cache on as it is
   * @returns [kvHeads, count, headDim] from `position`
   */
  read(layer: number, part: CachePart, position: number, count: number, handOn: () => void): Float32Array {
    const stored = this.layers[layer][part].view ?? this.copyFromDevice(layer, part, handOn);
    return numbersOf(stored, this.spec, this.capacity, position, count);
  }

  /** A device's memory cannot be looked into from here: the cache is handed on, this once into host memory. */
  private copyFromDevice(layer: number, part: CachePart, handOn: () => void): FloatArray {
    const { api, binding } = this.owner;
    const copy = new FLOAT_ARRAYS[this.float](this.numbers());
    const output = `present.${layer}.${part}`;
    const handles = new Handles(api);
    try {
      const tensor = hostTensors(api, handles)(copy, copy.byteLength, this.shape, FLOAT_ELEMENT[this.float]);
      api.check("BindOutput", binding, output, tensor);
      handOn();
    } finally {
      api.check("BindOutput", binding, output, this.layers[layer][part].tensor);
      handles.releaseAll();
    }
    return copy;
  }
}
