/** What passes of one session read and write, bound once: inputs and outputs, and what has another length in each pass. */

import { POSITIONS } from "../../model/graph/blocks.js";
import type { GraphDialect } from "../../model/graph/dialect.js";
import type { ModelSpec } from "../../model/spec.js";
import { BoundInputs, ELEMENT, type Handles, HostTensor, type MakeTensor } from "../bindings.js";
import { MAX_LOGIT_ROWS, MAX_PASS_TOKENS } from "../limits.js";
import type { OrtApi, Pointer } from "../ort-api.js";

/** Tensors whose length is the pass's; every binding of an engine has the same. */
export interface PassTensors {
  ids: HostTensor<BigInt64Array<ArrayBuffer>>;
  hiddenIn: HostTensor<Float32Array<ArrayBuffer>>;
  hiddenOut: HostTensor<Float32Array<ArrayBuffer>>;
  logits: HostTensor<Float32Array<ArrayBuffer>>;
  /** of its rows; null: the graph counts them itself */
  positions: { name: string; tensor: HostTensor<BigInt64Array<ArrayBuffer>> } | null;
}

export class PassBinding {
  readonly binding: Pointer;
  readonly inputs: BoundInputs;
  private tokens = -1;
  private rows = -1;

  constructor(
    private readonly api: OrtApi,
    session: Pointer,
    handles: Handles,
    copied: ReadonlySet<string>,
    private readonly tensors: PassTensors,
  ) {
    this.binding = handles.own("ReleaseIoBinding", api.create("CreateIoBinding", session));
    this.inputs = new BoundInputs(api, this.binding, copied);
  }

  /** Binds what has another length now, and what is to be copied to a device: of ids and hidden states, the one in use. */
  bindShapes(q: number, rows: number, useHidden: boolean): void {
    const { ids, hiddenIn, hiddenOut, logits, positions } = this.tensors;
    const sizes = q !== this.tokens;
    const input = (name: string, tensor: HostTensor<BigInt64Array | Float32Array>, isUsed: boolean) => {
      if (sizes || (isUsed && this.inputs.isCopied(name))) this.inputs.rebind(name, tensor.of(q));
    };
    input("input_ids", ids, !useHidden);
    input("hidden_in", hiddenIn, useHidden);
    if (positions !== null) input(positions.name, positions.tensor, true);
    if (sizes) this.api.check("BindOutput", this.binding, "hidden_out", hiddenOut.of(q));
    this.tokens = q;
    if (rows === this.rows) return;
    this.api.check("BindOutput", this.binding, "logits", logits.of(rows));
    this.rows = rows;
  }
}

/** How far a cache is filled, as the attention operator is told: the place of the pass's last row, and the tokens with it. */
export class Lengths {
  private readonly data = new Int32Array(32); // [0] and [16]: buffers are above V8's on-heap size
  private readonly last: Pointer;
  private readonly total: Pointer;

  constructor(make: MakeTensor) {
    const one = BigInt64Array.of(1n);
    this.last = make(this.data.subarray(0, 1), 4, one, ELEMENT.int32);
    this.total = make(this.data.subarray(16, 17), 4, one, ELEMENT.int32);
  }

  bind(inputs: BoundInputs, [last, total]: readonly [last: string, total: string]): void {
    inputs.bind(last, this.last, "every pass");
    inputs.bind(total, this.total, "every pass");
  }

  /** @param told the total that the operator is to be told, where it is another than there is (tree-inputs.ts) */
  set(past: number, q: number, told = past + q): void {
    this.data[0] = past + q - 1;
    this.data[16] = told;
  }
}

/** Buffers that every pass writes and reads, above V8's on-heap size. */
export function passTensors(
  { hiddenSize, vocabSize }: ModelSpec,
  dialect: GraphDialect,
  make: MakeTensor,
): PassTensors {
  const integers = () => new HostTensor(new BigInt64Array(MAX_PASS_TOKENS), ELEMENT.int64, (q) => [1, q], make);
  const states = () =>
    new HostTensor(new Float32Array(MAX_PASS_TOKENS * hiddenSize), ELEMENT.float, (q) => [1, q, hiddenSize], make);
  const logits = new Float32Array(MAX_LOGIT_ROWS * vocabSize);
  return {
    ids: integers(),
    hiddenIn: states(),
    hiddenOut: states(),
    logits: new HostTensor(logits, ELEMENT.float, (rows) => [1, rows, vocabSize], make),
    positions: dialect.spans ? { name: POSITIONS, tensor: integers() } : null,
  };
}
