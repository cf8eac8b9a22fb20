/** Keys and values of every layer, in the memory that programs compute in: past and present of every program that is bound to them. */
import { storedHeadDim } from "../../model/graph/heads.js";
import type { ModelSpec } from "../../model/spec.js";
import { FLOAT_BYTES, type FloatType } from "../../schema/numerics.js";
import { FLOAT_ARRAYS, FLOAT_ELEMENT } from "../bindings.js";
import type { CachePart } from "../cache/memory.js";
import { type MoverOwner, RowMover } from "../cache/row-mover.js";
import { moveRows, numbersOf } from "../cache/rows.js";
import { spanCacheRows } from "../cache/span-caches.js";
import type { Pointer } from "../ort-api.js";
import type { Block, ComputeMemory } from "./memory.js";
import type { Tensors } from "./tensors.js";

type CacheParts = Record<CachePart, { block: Block; tensor: Pointer }>;

export class ProgramCache {
  private readonly layers: CacheParts[];
  private readonly spans = new Map<string, CacheParts>();
  private readonly make: (rows: number) => { block: Block; tensor: Pointer };
  private readonly mover: RowMover | undefined;

  /** @param moverOwner for a graph that moves rows; left out: they are moved where they lie, in the host's memory */
  constructor(
    private readonly memory: ComputeMemory,
    tensors: Tensors,
    private readonly spec: ModelSpec,
    private readonly capacity: number,
    private readonly float: FloatType,
    moverOwner: MoverOwner | undefined,
  ) {
    this.make = (rows) => {
      const dims = [1, spec.kvHeads, rows, storedHeadDim(spec)];
      const size = FLOAT_BYTES[float];
      const block = memory.allocate(
        dims.reduce((product, d) => product * d, size),
        false,
      );
      return { block, tensor: tensors.over(block, dims, FLOAT_ELEMENT[float], size) };
    };
    this.layers = Array.from({ length: spec.layers }, () => ({ key: this.make(capacity), value: this.make(capacity) }));
    this.mover = moverOwner && new RowMover(moverOwner, this.layers, spec, float);
  }

  /** @param span of the small cache of this layer, made when it is first asked for; null: the whole context's */
  tensor(layer: number, part: CachePart, span: number | null = null): Pointer {
    return (span === null ? this.layers[layer] : this.small(layer, span))[part].tensor;
  }

  /** A copy of a small cache's numbers, once everything asked for so far is over. */
  smallBytes(layer: number, part: CachePart, span: number): Uint8Array {
    return new Uint8Array(this.memory.snapshot(this.small(layer, span)[part].block)).slice();
  }

  private small(layer: number, span: number): CacheParts {
    const key = `${layer}@${span}`;
    const known = this.spans.get(key);
    if (known !== undefined) return known;
    const rows = spanCacheRows(span, this.capacity);
    const made = { key: this.make(rows), value: this.make(rows) };
    this.spans.set(key, made);
    return made;
  }

  /** Moves keys and values of rows behind `position` to position, position + 1, …; the rows ascend. */
  keepRows(position: number, rows: ArrayLike<number>): void {
    const { spec, capacity } = this;
    if (this.mover !== undefined) {
      this.mover.keepRows(position, rows);
      return;
    }
    for (const { key, value } of this.layers)
      for (const { block } of [key, value]) moveRows(this.view(block), spec, capacity, position, rows);
  }

  private view(block: Block) {
    return new FLOAT_ARRAYS[this.float](this.memory.snapshot(block));
  }

  /** @returns [kvHeads, count, headDim] from `position` */
  read(layer: number, part: CachePart, position: number, count: number): Float32Array {
    return numbersOf(this.view(this.layers[layer][part].block), this.spec, this.capacity, position, count);
  }

  free(): void {
    for (const { key, value } of [...this.layers, ...this.spans.values()])
      for (const { block } of [key, value]) this.memory.free(block);
  }
}
