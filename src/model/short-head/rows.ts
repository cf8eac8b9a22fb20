/** Single rows of the matrix that a model's head multiplies by, whatever file and type they lie in. */
import { readSlab } from "../conversion/slab.js";
import type { StoredRows } from "../kernels/kernel.js";
import type { WeightSource } from "../spec.js";

/** Rows that are read at once: 4 MiB or so of a hidden size of 4,096. */
const SLAB_ROWS = 256;

/** Rows of the head, by token. What it reads of has to stay open. */
export class HeadRows {
  private readonly name: string;
  private readonly shape: readonly [rows: number, inner: number];
  /** of a type whose blocks go over the ends of rows, and of made-up weights: they are read as a whole */
  private whole: Float32Array | undefined;

  constructor(private readonly source: WeightSource) {
    const { tiedEmbeddings, vocabSize, hiddenSize } = source.spec;
    this.name = tiedEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight";
    this.shape = [vocabSize, hiddenSize];
  }

  /** Writes the row of a token. @param into [hiddenSize] fp32 */
  read(token: number, into: Float32Array): void {
    into.set(this.slab(token, 1));
  }

  /** @param tokens rising. @returns [tokens, hiddenSize] fp32 */
  gather(tokens: Int32Array): Float32Array {
    const [vocabSize, inner] = this.shape;
    const gathered = new Float32Array(tokens.length * inner);
    for (let row = 0; row < tokens.length; ) {
      const first = tokens[row];
      const slab = this.slab(first, Math.min(SLAB_ROWS, vocabSize - first));
      const end = first + slab.length / inner;
      for (; row < tokens.length && tokens[row] < end; row++) {
        const at = (tokens[row] - first) * inner;
        gathered.set(slab.subarray(at, at + inner), row * inner);
      }
    }
    return gathered;
  }

  /** Of rows that the checkpoint has in codes of its own: those of these tokens, as a matrix of them is stored. */
  stored(tokens: Int32Array): StoredRows[] {
    const own = this.source.scales?.(this.name, this.shape) ?? null;
    if (own === null) return [];
    const blocks = own.scales.length / this.shape[0];
    const scales = new Float32Array(tokens.length * blocks);
    tokens.forEach((token, row) => {
      scales.set(own.scales.subarray(token * blocks, (token + 1) * blocks), row * blocks);
    });
    return [{ from: 0, rows: tokens.length, bits: own.bits, scales }];
  }

  private slab(first: number, rows: number): Float32Array {
    const [, inner] = this.shape;
    const origin = this.source.origin?.(this.name, this.shape) ?? null;
    if (origin?.kind === "stored") return readSlab(origin, first, rows, inner);
    this.whole ??= this.source.tensor(this.name, this.shape);
    return this.whole.subarray(first * inner, (first + rows) * inner);
  }
}
