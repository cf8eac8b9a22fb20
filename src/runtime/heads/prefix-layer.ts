import { DraftplanError } from "../../core/errors.js";
import { prefixSpec } from "../../model/heads/fit.js";
import type { ModelSpec } from "../../model/spec.js";
import type { FloatType } from "../../schema/numerics.js";
import { ELEMENT, HostTensor } from "../bindings.js";
import { KvCache } from "../cache/kv-cache.js";
import { MAX_PASS_TOKENS } from "../limits.js";
import type { BoundGraph } from "./bound-graph.js";

/** Hydra's layer over the states of the text as it grows, and its keys and values. */
export class PrefixLayer {
  private readonly hidden: HostTensor<Float32Array<ArrayBuffer>>;
  private readonly out: HostTensor<Float32Array<ArrayBuffer>>;
  private readonly lengths = new Int32Array(32); // [0] seqlens_k, [16] total_sequence_length
  private readonly state: Float32Array;
  /** states told so far */
  private told = 0;
  private boundRows = 0;

  constructor(
    private readonly graph: BoundGraph,
    private readonly model: ModelSpec,
    private readonly capacity: number,
    float: FloatType,
  ) {
    const { hiddenSize } = model;
    const shape = (q: number) => [1, q, hiddenSize];
    const size = MAX_PASS_TOKENS * hiddenSize;
    this.hidden = new HostTensor(new Float32Array(size), ELEMENT.float, shape, graph.tensor);
    this.out = new HostTensor(new Float32Array(size), ELEMENT.float, shape, graph.tensor);
    this.state = new Float32Array(hiddenSize);
    const one = BigInt64Array.of(1n);
    const length = (name: string, at: number) =>
      graph.inputs.bind(name, graph.tensor(this.lengths.subarray(at, at + 1), 4, one, ELEMENT.int32), "every pass");
    length("seqlens_k", 0);
    length("total_sequence_length", 16);
    const { api, session, binding, inputs, handles, provider } = graph;
    const owner = { api, session, binding, inputs, handles, memory: provider.cache };
    new KvCache(owner, prefixSpec(model), capacity, float); // bound to the graph, and held by its handles
  }

  /** @param hidden [rows, H] of the tokens from `position` on */
  add(position: number, hidden: Float32Array): void {
    const { hiddenSize } = this.model;
    const rows = hidden.length / hiddenSize;
    if (!Number.isInteger(rows) || position < 0 || position > this.told)
      throw new RangeError(`${rows} states from ${position} on, after ${this.told}`);
    if (position + rows > this.capacity)
      throw new DraftplanError({
        code: "CONTEXT_LIMIT",
        at: `context of ${position + rows} tokens`,
        what: `the cache of the heads' prefix layer holds ${this.capacity}`,
        remedy: "Use a shorter prompt or fewer tokens.",
      });
    this.told = position;
    for (let from = 0; from < rows; from += MAX_PASS_TOKENS) {
      const q = Math.min(MAX_PASS_TOKENS, rows - from);
      this.pass(hidden.subarray(from * hiddenSize, (from + q) * hiddenSize), q);
    }
  }

  private pass(hidden: Float32Array, q: number): void {
    const { graph, model } = this;
    this.hidden.data.set(hidden);
    this.lengths[0] = this.told + q - 1;
    this.lengths[16] = this.told + q;
    graph.inputs.refresh("every pass");
    const other = q !== this.boundRows;
    if (other || graph.inputs.isCopied("hidden")) graph.bindInput("hidden", this.hidden.of(q));
    if (other) graph.bindOutput("prefix", this.out.of(q));
    this.boundRows = q;
    graph.run();
    this.told += q;
    this.state.set(this.out.data.subarray((q - 1) * model.hiddenSize, q * model.hiddenSize));
  }

  /** [H] behind the last token told. */
  last(): Float32Array {
    if (this.told === 0) throw new Error("the prefix layer was told no states");
    return this.state;
  }
}
