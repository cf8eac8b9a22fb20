/** One short head as it runs: hidden states in, logits of the whole vocabulary out, −∞ wherever it has none. */
import { ELEMENT, HostTensor } from "../bindings.js";
import type { BoundGraph } from "../heads/bound-graph.js";
import { MAX_LOGIT_ROWS } from "../limits.js";
import type { Pointer } from "../ort-api.js";
import { MOST_TEXT_TOKENS, type TextTokens } from "./text-tokens.js";

/** Rows of the text's tokens come in such numbers, so that few lengths are bound; what is beyond the last is not read. */
const STEP = 16;

interface Sizes {
  hiddenSize: number;
  vocabSize: number;
}

export class ShortHead {
  private readonly hidden: HostTensor<Float32Array<ArrayBuffer>>;
  private readonly logits: HostTensor<Float32Array<ArrayBuffer>>;
  private readonly others = new Float32Array(MAX_LOGIT_ROWS * MOST_TEXT_TOKENS);
  private readonly otherTensors = new Map<string, Pointer>();
  /** by the buffer of a text's rows */
  private readonly extra = new WeakMap<TextTokens, HostTensor<Float32Array<ArrayBuffer>>>();
  private readonly has: Uint8Array;
  /** [rows, vocabSize]; −∞ but where the last pass wrote */
  private all = new Float32Array(0);
  /** of all rows: where the last pass wrote logits of the text's tokens */
  private written: number[] = [];

  /** @param tokens [tokens] rising, as its weights are */
  constructor(
    private readonly graph: BoundGraph,
    private readonly sizes: Sizes,
    readonly tokens: Int32Array,
  ) {
    const { hiddenSize, vocabSize } = sizes;
    const states = new Float32Array(MAX_LOGIT_ROWS * hiddenSize + 32);
    this.hidden = new HostTensor(states, ELEMENT.float, (rows) => [1, rows, hiddenSize], graph.tensor);
    const logits = new Float32Array(MAX_LOGIT_ROWS * tokens.length + 32);
    this.logits = new HostTensor(logits, ELEMENT.float, (rows) => [1, rows, tokens.length], graph.tensor);
    this.has = new Uint8Array(vocabSize);
    for (const token of tokens) this.has[token] = 1;
  }

  /**
   * @param hidden [rows, hiddenSize] the model's last states, before its final norm
   * @param text   of which each row sees the tokens up to its own position
   * @param first  position of the first row
   * @returns [rows, vocabSize], valid until the next pass
   */
  run(hidden: Float32Array, text: TextTokens, first: number): Float32Array {
    const { hiddenSize, vocabSize } = this.sizes;
    const rows = hidden.length / hiddenSize;
    const all = this.cleared(rows * vocabSize);
    if (rows === 0) return all;
    const count = Math.max(STEP, STEP * Math.ceil(text.tokens.length / STEP));
    this.hidden.data.set(hidden);
    this.graph.bindInput("hidden", this.hidden.of(rows));
    this.graph.bindInput("extra", this.extraOf(text).of(count));
    this.graph.bindOutput("logits", this.logits.of(rows));
    this.graph.bindOutput("extra_logits", this.othersOf(rows, count));
    this.graph.run();
    for (let row = 0; row < rows; row++) {
      this.spread(row);
      this.spreadText(row, text, first + row, row * count);
    }
    return all;
  }

  private spread(row: number): void {
    const { tokens, all } = this;
    const { data } = this.logits;
    const [to, from] = [row * this.sizes.vocabSize, row * tokens.length];
    for (let i = 0; i < tokens.length; i++) all[to + tokens[i]] = data[from + i];
  }

  private spreadText(row: number, { tokens, since }: TextTokens, position: number, from: number): void {
    const to = row * this.sizes.vocabSize;
    for (let i = 0; i < tokens.length && since[i] <= position; i++) {
      if (this.has[tokens[i]] === 1) continue;
      this.all[to + tokens[i]] = this.others[from + i];
      this.written.push(to + tokens[i]);
    }
  }

  /** @returns −∞ wherever this head's own tokens do not stand */
  private cleared(length: number): Float32Array {
    if (this.all.length < length) {
      this.all = new Float32Array(length).fill(Number.NEGATIVE_INFINITY);
      this.written = [];
    }
    for (const at of this.written) this.all[at] = Number.NEGATIVE_INFINITY;
    this.written = [];
    return this.all.subarray(0, length);
  }

  private extraOf(text: TextTokens): HostTensor<Float32Array<ArrayBuffer>> {
    let tensor = this.extra.get(text);
    if (tensor === undefined) {
      tensor = new HostTensor(text.rows, ELEMENT.float, (n) => [n, this.sizes.hiddenSize], this.graph.tensor);
      this.extra.set(text, tensor);
    }
    return tensor;
  }

  private othersOf(rows: number, count: number): Pointer {
    const key = `${rows} ${count}`;
    let tensor = this.otherTensors.get(key);
    if (tensor === undefined) {
      const shape = BigInt64Array.of(1n, BigInt(rows), BigInt(count));
      tensor = this.graph.tensor(this.others, 4 * rows * count, shape, ELEMENT.float);
      this.otherTensors.set(key, tensor);
    }
    return tensor;
  }
}
