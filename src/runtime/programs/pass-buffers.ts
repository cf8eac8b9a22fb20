/** What passes read and write besides weights and cache: each at one address, whatever program runs. */
import type { ModelSpec } from "../../model/spec.js";
import { ELEMENT } from "../bindings.js";
import { MAX_LOGIT_ROWS, MAX_PASS_TOKENS, MAX_TREE_ROWS } from "../limits.js";
import type { Pointer } from "../ort-api.js";
import type { Block, ComputeMemory } from "./memory.js";
import { Rows, type Tensors } from "./tensors.js";

/** 128 bytes and more lie outside V8's heap, where nothing moves them. */
const OFF_HEAP_BYTES = 128;

export class PassBuffers {
  /** [1, q] token ids */
  readonly ids: Rows;
  /** [1, q, hiddenSize] the states that come out */
  readonly hiddenOut: Rows;
  /** [1, rows, vocabSize] */
  readonly logits: Rows;
  /** [1, rows] the likeliest token of each */
  readonly likeliest: Rows;
  /** [1] the last token's place, n + q − 1 */
  readonly length: Rows;
  /** [1, q] where each row of a tree stands */
  readonly positions: Rows;
  /** of a round: its tokens, then the verifier's likeliest ones */
  readonly round: Rows;
  /** of a round: the length in each of its passes */
  readonly lengths: Rows;
  /** what the operators read on the host: the total length, and the first row with logits */
  readonly total: { data: Int32Array; tensor: Pointer };
  readonly logitsFrom: { data: BigInt64Array; tensor: Pointer };
  private readonly blocks: Block[] = [];
  private given: Rows | undefined;

  constructor(
    private readonly memory: ComputeMemory,
    private readonly tensors: Tensors,
    private readonly spec: ModelSpec,
  ) {
    const { vocabSize } = spec;
    const integers = (count: number) => this.rows(count, (n) => [1, n], ELEMENT.int64, 8);
    const single = (count: number) => this.rows(count, () => [1], ELEMENT.int32, 4);
    this.ids = integers(MAX_PASS_TOKENS);
    this.hiddenOut = this.states();
    this.logits = this.rows(MAX_LOGIT_ROWS, (n) => [1, n, vocabSize], ELEMENT.float, 4);
    this.likeliest = integers(MAX_LOGIT_ROWS);
    this.length = single(1);
    this.positions = integers(MAX_TREE_ROWS);
    this.round = integers(2 * MAX_LOGIT_ROWS);
    this.lengths = single(MAX_LOGIT_ROWS);
    const total = new Int32Array(new ArrayBuffer(OFF_HEAP_BYTES)).subarray(0, 1);
    const from = new BigInt64Array(new ArrayBuffer(OFF_HEAP_BYTES)).subarray(0, 1);
    this.total = { data: total, tensor: tensors.overHost(total, [1], ELEMENT.int32) };
    this.logitsFrom = { data: from, tensor: tensors.overHost(from, [1], ELEMENT.int64) };
  }

  /** [1, q, hiddenSize] states that stand in for the embedding; made when the first pass has any */
  get hiddenIn(): Rows {
    this.given ??= this.states();
    return this.given;
  }

  private states(): Rows {
    const { hiddenSize } = this.spec;
    return this.rows(MAX_PASS_TOKENS, (q) => [1, q, hiddenSize], ELEMENT.float, 4);
  }

  private rows(count: number, shape: (n: number) => number[], type: number, size: number): Rows {
    const bytes = shape(count).reduce((product, d) => product * d, size);
    const block = this.memory.allocate(Math.max(bytes, count * size, OFF_HEAP_BYTES), true);
    this.blocks.push(block);
    return new Rows(this.tensors, block, shape, type, size);
  }

  /** Gives the memory back; tensors over it must not be used any more. */
  free(): void {
    for (const block of this.blocks) this.memory.free(block);
  }
}
