/**
 * A model that is not one, with exact times: for tests of everything above the runtime.
 *
 * Its next token is a hash of what the cache really holds, so a pass over stale or half-overwritten keys gives other
 * tokens, as it would in a real model. A cell written by anything but the target is marked, and the mark changes the
 * hash of every target pass that reads it. A draft misses the target's token in a share of contexts that its choices set.
 *
 * A row of a tree reads the cache before the pass, its ancestors and itself. Every cell keeps the position that it was
 * written at, as rotated keys do, and one that is read at another changes the hash: so rows that nobody moved together,
 * a wrong order of theirs, and a wrong parent all give other tokens.
 */
import { DraftplanError } from "../../src/core/errors.js";
import type { ModelSpec } from "../../src/model/spec.js";
import { type Clock, type Engine, type Pass, type PassResult, requireKernels } from "../../src/runtime/engine.js";
import {
  blockKind,
  blockLayer,
  type ChoiceSet,
  choiceKey,
  DEFAULT_KERNELS,
  isShort,
  type Kernel,
  kernelOf,
  type ShortKernel,
  spanOf,
  tokensRead,
} from "../../src/schema/choice.js";
import { CPU_NUMERICS, type Numerics } from "../../src/schema/numerics.js";

/** what a key is off by for each place that it was not written for: more than there are tokens */
const PLACE = 2 ** 16;

/** A clock that moves only when it is told to. */
export class FakeClock implements Clock {
  private now = 0;
  nowUs(): number {
    return this.now;
  }
  advance(us: number): void {
    this.now += us;
  }
}

/** µs of the parts of a pass; the whole is their sum, exactly. */
export interface FakeTimes {
  fixedUs(q: number): number;
  headUs(kernel: ChoiceSet["head"], rows: number): number;
  /** of a block that runs */
  blockUs(block: { layer: number; kind: "attn" | "mlp" }, choice: Kernel, n: number, q: number): number;
  /** what a tree's pass takes beside a chain's of as many rows; default: the same */
  treeFactor?(n: number, q: number): number;
  /** what a test plants on top of the sum: noise, drift, a burst */
  disturbance?(exactUs: number, pass: number): number;
}

export interface FakeModel {
  spec: ModelSpec;
  clock: FakeClock;
  times: FakeTimes;
  /** chance that a draft of these choices misses the target's token */
  missRate(choices: ChoiceSet): number;
  /** the same where the draft wrote the cache from its beginning on, as one with a cache of its own does; default: the same */
  ownMissRate?(choices: ChoiceSet): number;
  /** a draft's logit of its token, the others having 0, by the draw from 0 to 1 that misses below the miss rate; default: 10 */
  draftLogit?(draw: number): number;
  /** target first; default: target and int8 */
  kernels?: readonly Kernel[];
  /** default: none */
  shortHeads?: readonly ShortKernel[] | undefined;
  /** default: the CPU's */
  numerics?: Numerics;
  capacity?: number;
  /** what is wrong with tree passes; default: nothing */
  treeFault?: TreeFault;
  /** whether it queues passes as an engine of programs does; default: it does not */
  queues?: boolean;
}

export type TreeFault =
  /** a row reads an elder sibling before itself */
  | "sibling visible"
  /** a row reads every earlier row */
  | "no mask"
  /** positions count rows, not ancestors */
  | "position by row"
  /** keys and values stay where the pass wrote them */
  | "cache not moved"
  /** they are moved in the wrong order */
  | "path order"
  /** only keys are moved */
  | "values not moved";

/** FNV-1a over two 32-bit numbers. */
function mix(hash: number, value: number): number {
  let h = hash;
  for (let shift = 0; shift < 32; shift += 8) h = Math.imul(h ^ ((value >>> shift) & 255), 0x01000193);
  return h >>> 0;
}

/** Exact duration of a pass, disturbance left out. */
export function fakePassUs(
  model: FakeModel,
  pass: { position: number; q: number; rows: number; choices: ChoiceSet },
): number {
  const { times } = model;
  let us = times.fixedUs(pass.q) + (pass.rows > 0 ? times.headUs(pass.choices.head, pass.rows) : 0);
  pass.choices.blocks.forEach((choice, index) => {
    if (choice === "skip") return;
    const read = tokensRead(spanOf(choice), pass.position);
    us += times.blockUs({ layer: blockLayer(index), kind: blockKind(index) }, kernelOf(choice), read, pass.q);
  });
  return us;
}

export class FakeEngine implements Engine {
  readonly spec: ModelSpec;
  readonly capacity: number;
  readonly kernels: readonly Kernel[];
  readonly shortHeads?: readonly ShortKernel[];
  readonly numerics: Numerics;
  readonly runQueued?: NonNullable<Engine["runQueued"]>;
  /** every pass that was run */
  readonly passes: { position: number; q: number; choices: ChoiceSet; us: number; tree: boolean }[] = [];
  /** token + 1, negative where the target did not write it; 0: never written */
  private readonly cells: Int32Array;
  /** the same as long as nobody moves one without the other: a row reads both */
  private readonly values: Int32Array;
  /** the position each was written for */
  private readonly positions: Int32Array;
  private closed = false;

  constructor(private readonly model: FakeModel) {
    this.spec = model.spec;
    this.capacity = model.capacity ?? model.spec.contextLimit;
    this.kernels = model.kernels ?? DEFAULT_KERNELS;
    this.numerics = model.numerics ?? CPU_NUMERICS;
    if (model.shortHeads !== undefined) this.shortHeads = model.shortHeads;
    if (model.queues === true)
      this.runQueued = ({ position, input, choices, head }, times) => {
        const pass = { position, input, choices, logitRows: head ? input.length : 0 };
        for (let i = 0; i < times; i++) this.run(pass);
      };
    this.cells = new Int32Array(this.capacity);
    this.values = new Int32Array(this.capacity);
    this.positions = Int32Array.from({ length: this.capacity }, (_, i) => i);
  }

  run(pass: Pass): PassResult {
    if (this.closed) throw new Error("the engine is closed");
    const { head } = pass.choices;
    const isOpen = isShort(head) && this.shortHeads?.includes(head);
    requireKernels(isOpen ? { ...pass.choices, head: "target" } : pass.choices, this.kernels);
    if ("hidden" in pass.input) return this.runHidden(pass, pass.input.hidden);
    const ids = Array.from(pass.input as ArrayLike<number>);
    if (pass.position + ids.length > this.capacity) {
      throw new DraftplanError({
        code: "CONTEXT_LIMIT",
        at: `context of ${pass.position + ids.length} tokens`,
        what: `the KV cache holds ${this.capacity}`,
        remedy: "Use a shorter prompt or fewer tokens.",
      });
    }
    const exact = pass.choices.head === "target" && pass.choices.blocks.every((choice) => choice === "target");
    const tree = this.treeOf(pass, ids.length);
    ids.forEach((id, row) => {
      this.write(pass.position + row, exact ? id + 1 : -(id + 1), pass.position + tree.positions[row]);
    });
    this.spend(pass, ids.length);
    return this.answer(pass, tree.visible, exact);
  }

  keepRows(position: number, rows: ArrayLike<number>): void {
    const { treeFault } = this.model;
    const kept = treeFault === "path order" ? Array.from(rows).reverse() : Array.from(rows);
    if (treeFault === "cache not moved") return;
    const from = kept.map((row) => position + row);
    const read = (of: Int32Array) => from.map((cell) => of[cell]);
    const [cells, values, positions] = [read(this.cells), read(this.values), read(this.positions)];
    kept.forEach((_, i) => {
      this.cells[position + i] = cells[i];
      this.positions[position + i] = positions[i];
      if (treeFault !== "values not moved") this.values[position + i] = values[i];
    });
  }

  private write(cell: number, content: number, position: number): void {
    this.cells[cell] = content;
    this.values[cell] = content;
    this.positions[cell] = position;
  }

  /** [q] rows that each row reads besides the cache before the pass, itself last, and its position behind the pass's. */
  private treeOf({ parents }: Pass, q: number): { visible: number[][]; positions: number[] } {
    if (parents === undefined) {
      const all = Array.from({ length: q }, (_, row) => row);
      return { visible: all.map((row) => all.slice(0, row + 1)), positions: all };
    }
    if (parents.length !== q) throw new Error(`${parents.length} parents for ${q} rows`);
    const { treeFault } = this.model;
    const visible: number[][] = [];
    for (let row = 0; row < q; row++) {
      const parent = parents[row];
      if (!(Number.isInteger(parent) && parent >= -1 && parent < row)) throw new Error(`row ${row} behind ${parent}`);
      visible.push([...(parent === -1 ? [] : visible[parent]), row]);
    }
    const positions = visible.map((rows, row) => (treeFault === "position by row" ? row : rows.length - 1));
    if (treeFault === "no mask")
      return { visible: visible.map((_, row) => [...visible.keys()].slice(0, row + 1)), positions };
    if (treeFault !== "sibling visible") return { visible, positions };
    const elder = (row: number) => Array.from(parents).findIndex((parent, i) => i < row && parent === parents[row]);
    const seen = visible.map((rows) => rows.flatMap((row) => (elder(row) === -1 ? [row] : [elder(row), row])));
    return { visible: seen, positions };
  }

  private runHidden(pass: Pass, hidden: Float32Array): PassResult {
    const q = hidden.length / this.spec.hiddenSize;
    this.spend(pass, q);
    return { logits: new Float32Array(pass.logitRows * this.spec.vocabSize), hidden: hidden.slice() };
  }

  private spend(pass: Pass, q: number): void {
    const chainUs = fakePassUs(this.model, { position: pass.position, q, rows: pass.logitRows, choices: pass.choices });
    const exactUs = chainUs * ((pass.parents && this.model.times.treeFactor?.(pass.position, q)) ?? 1);
    const us = this.model.times.disturbance?.(exactUs, this.passes.length) ?? exactUs;
    this.passes.push({ position: pass.position, q, choices: pass.choices, us, tree: pass.parents !== undefined });
    this.model.clock.advance(us);
  }

  private answer(pass: Pass, visible: readonly number[][], exact: boolean): PassResult {
    const { vocabSize, hiddenSize } = this.spec;
    const q = visible.length;
    const logits = new Float32Array(pass.logitRows * vocabSize);
    const hidden = new Float32Array(q * hiddenSize);
    const key = [...choiceKey(pass.choices)].reduce((h, c) => mix(h, c.charCodeAt(0)), 7);
    let before = 0x811c9dc5;
    for (let cell = 0; cell < pass.position; cell++) before = this.read(before, cell, cell, exact);
    const own = this.cells[0] < 0 ? this.model.ownMissRate : undefined;
    const missRate = (own ?? this.model.missRate)(pass.choices);
    visible.forEach((rows, row) => {
      let hash = before;
      rows.forEach((seen, i) => {
        hash = this.read(hash, pass.position + seen, pass.position + i, exact);
      });
      hidden[row * hiddenSize] = hash / 2 ** 32;
      const at = row - (q - pass.logitRows);
      if (at < 0) return;
      const drawn = mix(hash, key) / 2 ** 32;
      const misses = !exact && drawn < missRate;
      const token = mix(hash, 99) % vocabSize;
      logits[at * vocabSize + (misses ? (token + 1) % vocabSize : token)] =
        (exact ? undefined : this.model.draftLogit?.(drawn)) ?? 10;
    });
    return { logits, hidden };
  }

  /** The hash with one more cell read, at the position where the text has it. */
  private read(hash: number, cell: number, position: number, exact: boolean): number {
    // a draft cannot tell its own cells from the target's; the target must never see a draft's
    const told = (of: number) => (exact ? of : Math.abs(of));
    let h = mix(hash, told(this.cells[cell]));
    if (this.values[cell] !== this.cells[cell]) h = mix(h, told(this.values[cell]));
    return this.positions[cell] === position ? h : mix(h, this.positions[cell] - position);
  }

  withOwnCache(): FakeEngine {
    return new FakeEngine(this.model);
  }

  /** Keys: tokens, and by how many places each stands where it was not written for; values: tokens alone. */
  readCache(_layer: number, part: "key" | "value", position: number, count: number): Float32Array {
    const of = (i: number) =>
      part === "value" ? this.values[i] : this.cells[i] + PLACE * (this.cells[i] === 0 ? 0 : this.positions[i] - i);
    return Float32Array.from({ length: count }, (_, i) => of(position + i));
  }

  close(): void {
    this.closed = true;
  }
}
