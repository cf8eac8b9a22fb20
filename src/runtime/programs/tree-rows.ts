/** What a program over a tree reads besides: where its rows stand, and what they do not see. */
import { TREE, treeBias } from "../../model/graph/blocks.js";
import type { ModelSpec } from "../../model/spec.js";
import { FLOAT_BYTES, type FloatType } from "../../schema/numerics.js";
import { FLOAT_ARRAYS, FLOAT_ELEMENT } from "../bindings.js";
import { MAX_TREE_ROWS } from "../limits.js";
import { rowDepths } from "../tree.js";
import { requireTreeRows, TreeBias, treeWindows } from "../tree-inputs.js";
import type { Block, ComputeMemory } from "./memory.js";
import type { PassBuffers } from "./pass-buffers.js";
import type { ProgramSession } from "./program-session.js";
import type { Tensors } from "./tensors.js";

/** What rows see under one of the model's windows. */
interface View {
  input: string;
  block: Block;
  bias: TreeBias;
}

export class TreeRows {
  private readonly views: View[];

  constructor(
    private readonly memory: ComputeMemory,
    private readonly tensors: Tensors,
    spec: ModelSpec,
    private readonly capacity: number,
    private readonly float: FloatType,
  ) {
    this.views = treeWindows(spec).map((window, i) => {
      const block = memory.allocate(MAX_TREE_ROWS * capacity * FLOAT_BYTES[float], true);
      const data = new FLOAT_ARRAYS[float](block.host as ArrayBuffer);
      return { input: treeBias(i), block, bias: new TreeBias(window, capacity, float, data) };
    });
  }

  /**
   * @param total of the bias; at least what `toldTotal` says
   * @throws RangeError where they are no tree, or one of too many rows
   */
  put({ positions }: PassBuffers, position: number, parents: ArrayLike<number>, total: number): void {
    const q = parents.length;
    requireTreeRows(q, position, this.capacity);
    const depths = rowDepths(parents);
    const stand = new BigInt64Array(positions.block.host as ArrayBuffer);
    for (let row = 0; row < q; row++) stand[row] = BigInt(position + depths[row]);
    this.memory.push({ block: positions.block, from: 0 }, positions.bytes(q));
    for (const { bias, block } of this.views) {
      bias.hide(total, position, parents, depths);
      this.memory.push({ block, from: 0 }, q * total * FLOAT_BYTES[this.float]);
    }
  }

  /** Binds all of it while `run` runs: the operator takes a bias of exactly the total length, so no tensor of it serves twice. */
  whileBound(program: ProgramSession, { positions }: PassBuffers, q: number, total: number, run: () => void): void {
    program.input(TREE.positions, positions.of(q));
    this.bindFrom(0, program, [1, 1, q, total], run);
  }

  /** the views from the i-th on */
  private bindFrom(i: number, program: ProgramSession, shape: number[], run: () => void): void {
    const view = this.views[i];
    if (view === undefined) {
      run();
      return;
    }
    const size = FLOAT_BYTES[this.float];
    this.tensors.borrow(view.block, shape, FLOAT_ELEMENT[this.float], size, (tensor) => {
      program.input(view.input, tensor);
      try {
        this.bindFrom(i + 1, program, shape, run);
      } finally {
        program.forget(tensor);
      }
    });
  }

  free(): void {
    for (const { block } of this.views) this.memory.free(block);
  }
}
