/**
 * The inputs by which a pass is one over a tree: positions of its rows, and what each of them does not see. A pass with folded
 * heads has them too: its rows once for each query head that shares keys and values (model/graph/folded.ts).
 */
import { TREE, treeBias } from "../model/graph/blocks.js";
import { FOLDED } from "../model/graph/folded.js";
import { distinctWindows } from "../model/layers.js";
import type { ModelSpec } from "../model/spec.js";
import type { FloatType } from "../schema/numerics.js";
import {
  type BoundInputs,
  ELEMENT,
  FLOAT_ARRAYS,
  FLOAT_ELEMENT,
  type FloatArray,
  HostTensor,
  type MakeTensor,
} from "./bindings.js";
import { MAX_TREE_ROWS } from "./limits.js";
import type { Pointer } from "./ort-api.js";
import { rowDepths } from "./tree.js";

/** Added to a score: it is then no part of the softmax. Finite, so that no difference of two is not a number. */
const HIDDEN = { fp32: -1e30, fp16: 0xfbff /* −65504 */ } as const;

/** A tensor that lasts until `use` returns; what was bound to it stays valid, as long as its data does. */
export type BorrowTensor = (...place: [...Parameters<MakeTensor>, use: (tensor: Pointer) => void]) => void;

/**
 * Where every token of the cache is of this pass, the operator takes it for a prompt and counts positions from the first
 * one of position_ids (ONNX Runtime 1.30, CPU). A total that is one too long prevents that; how much there really is it
 * knows from seqlens_k.
 */
export const toldTotal = (position: number, q: number): number => Math.max(position + q, q + 1);

/** @throws RangeError where a pass at `position` does not take a tree of so many rows */
export function requireTreeRows(q: number, position: number, capacity: number): void {
  const most = Math.min(MAX_TREE_ROWS, capacity - (toldTotal(position, q) - q));
  if (q > most) throw new RangeError(`a tree of ${q} rows at ${position}, and a pass takes ${most}`);
}

/** What the rows of a tree do not see: [rows, total], added to their scores. */
export class TreeBias {
  /** zeros, but for what the last tree hid */
  readonly data: FloatArray;
  private hidden = { rows: 0, total: 0, from: 0 };

  /**
   * @param window tokens that a row sees, itself included
   * @param data of a buffer that lies somewhere already; default: one of its own
   */
  constructor(
    private readonly window: number,
    capacity: number,
    private readonly float: FloatType,
    data?: FloatArray,
  ) {
    this.data = data ?? new FLOAT_ARRAYS[float](MAX_TREE_ROWS * capacity);
  }

  /**
   * A row sees the cache, its ancestors and itself, and of these what its window reaches.
   * @param members times that the rows are there, one behind the other: they all see the first ones
   */
  hide(total: number, position: number, parents: ArrayLike<number>, depths: Int32Array, members = 1): void {
    const { data: bias, hidden: before, window } = this;
    for (let row = 0; row < before.rows; row++)
      bias.fill(0, row * before.total + before.from, (row + 1) * before.total);
    const q = parents.length;
    for (let i = 0; i < members * q; i++) {
      const [row, start] = [i % q, i * total];
      const first = Math.max(0, position + depths[row] - window + 1); // the first position that it sees
      bias.fill(HIDDEN[this.float], start, start + Math.min(first, position));
      bias.fill(HIDDEN[this.float], start + position, start + total);
      for (let seen = row; seen !== -1 && position + depths[seen] >= first; seen = parents[seen])
        bias[start + position + seen] = 0;
    }
    this.hidden = { rows: members * q, total, from: window === Infinity ? position : 0 };
  }
}

/** Tokens that rows see under each of the model's distinct windows. */
export const treeWindows = (spec: ModelSpec): number[] => distinctWindows(spec).map((window) => window ?? Infinity);

/** What the attention operator is told of a pass: its rows, and tokens of the cache with them. */
export interface SeenRows {
  rows: number;
  total: number;
}

export class TreeInputs {
  private readonly flag = new Uint8Array(new ArrayBuffer(128));
  private readonly flagTensor: Pointer;
  private readonly folded = new Uint8Array(new ArrayBuffer(128));
  /** undefined: the graph folds no heads */
  private readonly foldedTensor: Pointer | undefined;
  private readonly noBias: Pointer;
  private readonly positions: HostTensor<BigInt64Array<ArrayBuffer>>;
  /** bound until the first tree runs; kept, since the tensor over it does not keep it */
  private readonly nothing = new BigInt64Array(16);
  /** what rows see under every window that layers of the model have; from the first tree on */
  private readonly views: { input: string; window: number; bias: TreeBias | undefined }[];

  constructor(
    spec: ModelSpec,
    private readonly capacity: number,
    private readonly float: FloatType,
    private readonly inputs: BoundInputs,
    make: MakeTensor,
    private readonly borrow: BorrowTensor,
    folds: boolean,
  ) {
    const flag = (data: Uint8Array) => make(data, 1, new BigInt64Array(0), ELEMENT.bool);
    this.flagTensor = flag(this.flag);
    this.foldedTensor = folds ? flag(this.folded) : undefined;
    this.positions = new HostTensor(new BigInt64Array(MAX_TREE_ROWS), ELEMENT.int64, (q) => [1, q], make);
    this.views = treeWindows(spec).map((window, i) => ({ input: treeBias(i), window, bias: undefined }));
    this.noBias = make(this.nothing, 4, BigInt64Array.of(1n, 1n, 1n, 1n), FLOAT_ELEMENT[float]);
    this.bindTo(inputs);
  }

  /** A chain's pass has them too, and does not look at them. */
  bindTo(inputs: BoundInputs): void {
    inputs.bind(TREE.flag, this.flagTensor, "every pass");
    if (this.foldedTensor !== undefined) inputs.bind(FOLDED, this.foldedTensor, "every pass");
    inputs.rebind(TREE.positions, this.positions.of(1));
    for (const { input } of this.views) inputs.rebind(input, this.noBias);
  }

  /** The next pass is over a chain. */
  clear(): void {
    this.flag[0] = 0;
  }

  /**
   * The next pass is over this tree.
   * @param parents [q] the row that each row follows; −1: none
   * @param members query heads that are folded into one, each with all rows
   * @returns the rows that the operator sees, and the total length that it is to be told
   * @throws RangeError where they are no tree, or one of too many rows
   */
  set(position: number, parents: ArrayLike<number>, members = 1): SeenRows {
    const rows = members * parents.length;
    const total = toldTotal(position, rows);
    requireTreeRows(rows, position, this.capacity);
    const depths = rowDepths(parents);
    for (let i = 0; i < rows; i++) this.positions.data[i] = BigInt(position + depths[i % parents.length]);
    this.inputs.rebind(TREE.positions, this.positions.of(rows));
    for (const view of this.views) {
      view.bias ??= new TreeBias(view.window, this.capacity, this.float);
      const { data } = view.bias;
      view.bias.hide(total, position, parents, depths, members);
      // the operator takes a bias of exactly the total length, so no tensor of it serves twice
      const shape = BigInt64Array.from([1, 1, rows, total], BigInt);
      const bytes = rows * total * data.BYTES_PER_ELEMENT;
      this.borrow(data, bytes, shape, FLOAT_ELEMENT[this.float], (tensor) => this.inputs.rebind(view.input, tensor));
    }
    this.flag[0] = 1;
    this.folded[0] = members > 1 ? 1 : 0;
    return { rows, total };
  }
}
