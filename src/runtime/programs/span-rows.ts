/**
 * What programs read whose attention has spans: which rows of the context each small cache takes over, how many keys it holds,
 * and where a pass's rows stand in the text.
 *
 * As a round begins, a small program copies what its spans read (model/graph/span-refresh.ts). The round's own passes write
 * behind that, in the small caches alone. A small cache is taken over again when the next round begins, or where a pass wrote
 * the context before the round.
 */
import { POSITIONS } from "../../model/graph/blocks.js";
import { spanLengths } from "../../model/graph/program.js";
import { spanRows } from "../../model/graph/span-refresh.js";
import { type LayerSpans, SINK_TOKENS, tokensRead } from "../../schema/choice.js";
import { ELEMENT } from "../bindings.js";
import { ROUND_TOKENS, spanCacheRows } from "../cache/span-caches.js";
import type { Pointer } from "../ort-api.js";
import type { SpannedPass } from "../pass/spanned.js";
import type { Block, ComputeMemory } from "./memory.js";
import type { PassBuffers } from "./pass-buffers.js";
import type { ProgramSession } from "./program-session.js";
import { Rows, type Tensors } from "./tensors.js";

/** What passes read of one span. */
interface Width {
  rows: number;
  /** [rows] of the context, in the small cache's order */
  index: Rows;
  /** [1] place of the pass's last row in the small cache; of a round, of each of its steps */
  last: Rows;
  each: Rows;
  /** keys with the pass's, on the host */
  total: { data: Int32Array; tensor: Pointer };
}

const ID_BYTES = 8;
const LENGTH_BYTES = 4;

export class SpanRows {
  private readonly widths = new Map<number, Width>();
  private readonly blocks: Block[] = [];
  /** of `layer@span`: tokens of the context when it was taken over */
  private readonly fresh = new Map<string, number>();
  /** of a round: where each of its tokens stands */
  private readonly places: Rows;

  constructor(
    private readonly memory: ComputeMemory,
    private readonly tensors: Tensors,
    private readonly capacity: number,
  ) {
    this.places = this.rows(ROUND_TOKENS, ELEMENT.int64, ID_BYTES);
  }

  private rows(count: number, type: number, size: number, shape = (n: number) => [n]): Rows {
    const block = this.memory.allocate(Math.max(128, count * size), true);
    this.blocks.push(block);
    return new Rows(this.tensors, block, shape, type, size);
  }

  private of(span: number): Width {
    const known = this.widths.get(span);
    if (known !== undefined) return known;
    const rows = spanCacheRows(span, this.capacity);
    const data = new Int32Array(new ArrayBuffer(128)).subarray(0, 1);
    const made: Width = {
      rows,
      index: this.rows(rows, ELEMENT.int64, ID_BYTES),
      last: this.rows(1, ELEMENT.int32, LENGTH_BYTES),
      each: this.rows(ROUND_TOKENS, ELEMENT.int32, LENGTH_BYTES),
      total: { data, tensor: this.tensors.overHost(data, [1], ELEMENT.int32) },
    };
    this.widths.set(span, made);
    return made;
  }

  /** The context's cache is written from this token on, by whatever pass. */
  written(position: number): void {
    for (const [key, tokens] of this.fresh) if (tokens > position) this.fresh.delete(key);
  }

  /** Those of the spans whose small cache does not hold what a round over so many tokens reads; null: all do. */
  stale(spans: LayerSpans, round: number): LayerSpans | null {
    const found = spans.map((span, layer) => (this.fresh.get(`${layer}@${span}`) === round ? null : span));
    return found.every((span) => span === null) ? null : found;
  }

  /** Says which rows the refresh of these spans takes over, and counts them as taken over. */
  takeOver(spans: LayerSpans, round: number, program: ProgramSession): void {
    for (const span of new Set(spans)) {
      if (span === null) continue;
      const { rows, index } = this.of(span);
      const read = tokensRead(span, round);
      const into = new BigInt64Array(index.block.host as ArrayBuffer);
      // behind what is read any row will do
      for (let row = 0; row < rows; row++)
        into[row] = BigInt(row >= read ? 0 : row < SINK_TOKENS ? row : round - read + row);
      this.memory.push({ block: index.block, from: 0 }, index.bytes(rows));
      program.input(spanRows(span), index.of(rows));
    }
    spans.forEach((span, layer) => {
      if (span !== null) this.fresh.set(`${layer}@${span}`, round);
    });
  }

  /**
   * Says where a pass's rows stand, and behind how many keys of each small cache.
   * @throws RangeError where the round is longer than a small cache has room for
   */
  put(spans: LayerSpans, { positions }: PassBuffers, pass: SpannedPass): void {
    const { position, q } = pass;
    const own = ownTokens(pass);
    const stand = new BigInt64Array(positions.block.host as ArrayBuffer);
    for (let row = 0; row < q; row++) stand[row] = BigInt(position + row);
    this.memory.push({ block: positions.block, from: 0 }, positions.bytes(q));
    for (const span of new Set(spans)) {
      if (span === null) continue;
      const { last } = this.of(span);
      new Int32Array(last.block.host as ArrayBuffer)[0] = tokensRead(span, pass.round) + own + q - 1;
      this.memory.push({ block: last.block, from: 0 }, LENGTH_BYTES);
    }
  }

  /** The lengths and places of a round's steps, a token each, before any of them. */
  putSteps(spans: LayerSpans, round: number, steps: number): void {
    ownTokens({ round, position: round, q: steps });
    const stand = new BigInt64Array(this.places.block.host as ArrayBuffer);
    for (let i = 0; i < steps; i++) stand[i] = BigInt(round + i);
    this.memory.push({ block: this.places.block, from: 0 }, this.places.bytes(steps));
    for (const span of new Set(spans)) {
      if (span === null) continue;
      const { each } = this.of(span);
      const lasts = new Int32Array(each.block.host as ArrayBuffer);
      for (let i = 0; i < steps; i++) lasts[i] = tokensRead(span, round) + i;
      this.memory.push({ block: each.block, from: 0 }, each.bytes(steps));
    }
  }

  /** Step i of them is the next pass. */
  step(spans: LayerSpans, { positions }: PassBuffers, i: number): void {
    this.memory.copy({ block: this.places.block, from: ID_BYTES * i }, { block: positions.block, from: 0 }, ID_BYTES);
    for (const span of new Set(spans)) {
      if (span === null) continue;
      const { each, last } = this.of(span);
      this.memory.copy({ block: each.block, from: LENGTH_BYTES * i }, { block: last.block, from: 0 }, LENGTH_BYTES);
    }
  }

  /** @param frozen whether the totals are the small caches' whole lengths: a captured pass keeps what it is told */
  bind(
    spans: LayerSpans,
    program: ProgramSession,
    { positions }: PassBuffers,
    pass: SpannedPass,
    frozen: boolean,
  ): void {
    program.input(POSITIONS, positions.of(pass.q));
    for (const span of new Set(spans)) {
      if (span === null) continue;
      const { rows, last, total } = this.of(span);
      const [lastName, totalName] = spanLengths(span);
      total.data[0] = frozen ? rows : tokensRead(span, pass.round) + ownTokens(pass) + pass.q;
      program.input(lastName, last.of(1));
      program.input(totalName, total.tensor);
    }
  }

  free(): void {
    for (const block of this.blocks) this.memory.free(block);
  }
}

/** Tokens of the round that came before a pass. @throws RangeError */
function ownTokens({ round, position, q }: SpannedPass): number {
  const own = position - round;
  if (own < 0 || own + q > ROUND_TOKENS)
    throw new RangeError(`tokens ${own} to ${own + q} of a round: spans are for rounds of ${ROUND_TOKENS}`);
  return own;
}
