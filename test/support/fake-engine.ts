/**
 * A model that is not one, with exact times: for tests of everything above the runtime.
 *
 * Its next token is a hash of what the cache really holds, so a pass over stale or half-overwritten keys gives other
 * tokens, as it would in a real model. A cell written by anything but the target is marked, and the mark changes the
 * hash of every target pass that reads it. A draft misses the target's token in a share of contexts that its choices set.
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
  type Kernel,
} from "../../src/schema/choice.js";
import { CPU_NUMERICS, type Numerics } from "../../src/schema/numerics.js";

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
  /** what a test plants on top of the sum: noise, drift, a burst */
  disturbance?(exactUs: number, pass: number): number;
}

export interface FakeModel {
  spec: ModelSpec;
  clock: FakeClock;
  times: FakeTimes;
  /** chance that a draft of these choices misses the target's token */
  missRate(choices: ChoiceSet): number;
  /** target first; default: target and int8 */
  kernels?: readonly Kernel[];
  /** default: the CPU's */
  numerics?: Numerics;
  capacity?: number;
}

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
    us += times.blockUs({ layer: blockLayer(index), kind: blockKind(index) }, choice, pass.position, pass.q);
  });
  return us;
}

export class FakeEngine implements Engine {
  readonly spec: ModelSpec;
  readonly capacity: number;
  readonly kernels: readonly Kernel[];
  readonly numerics: Numerics;
  /** every pass that was run */
  readonly passes: { position: number; q: number; choices: ChoiceSet; us: number }[] = [];
  /** token + 1, negative where the target did not write it; 0: never written */
  private readonly cells: Int32Array;
  private closed = false;

  constructor(private readonly model: FakeModel) {
    this.spec = model.spec;
    this.capacity = model.capacity ?? model.spec.contextLimit;
    this.kernels = model.kernels ?? DEFAULT_KERNELS;
    this.numerics = model.numerics ?? CPU_NUMERICS;
    this.cells = new Int32Array(this.capacity);
  }

  run(pass: Pass): PassResult {
    if (this.closed) throw new Error("the engine is closed");
    requireKernels(pass.choices, this.kernels);
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
    ids.forEach((id, i) => {
      this.cells[pass.position + i] = exact ? id + 1 : -(id + 1);
    });
    this.spend(pass, ids.length);
    return this.answer(pass, ids.length, exact);
  }

  private runHidden(pass: Pass, hidden: Float32Array): PassResult {
    const q = hidden.length / this.spec.hiddenSize;
    this.spend(pass, q);
    return { logits: new Float32Array(pass.logitRows * this.spec.vocabSize), hidden: hidden.slice() };
  }

  private spend(pass: Pass, q: number): void {
    const exactUs = fakePassUs(this.model, { position: pass.position, q, rows: pass.logitRows, choices: pass.choices });
    const us = this.model.times.disturbance?.(exactUs, this.passes.length) ?? exactUs;
    this.passes.push({ position: pass.position, q, choices: pass.choices, us });
    this.model.clock.advance(us);
  }

  private answer(pass: Pass, q: number, exact: boolean): PassResult {
    const { vocabSize, hiddenSize } = this.spec;
    const logits = new Float32Array(pass.logitRows * vocabSize);
    const hidden = new Float32Array(q * hiddenSize);
    const key = [...choiceKey(pass.choices)].reduce((h, c) => mix(h, c.charCodeAt(0)), 7);
    let hash = 0x811c9dc5;
    for (let position = 0; position < pass.position + q; position++) {
      const cell = this.cells[position];
      // a draft cannot tell its own cells from the target's; the target must never see a draft's
      hash = mix(hash, exact ? cell : Math.abs(cell));
      const row = position - (pass.position + q - pass.logitRows);
      if (position >= pass.position) hidden[(position - pass.position) * hiddenSize] = hash / 2 ** 32;
      if (row < 0) continue;
      const misses = !exact && mix(hash, key) / 2 ** 32 < this.model.missRate(pass.choices);
      const token = mix(hash, 99) % vocabSize;
      logits[row * vocabSize + (misses ? (token + 1) % vocabSize : token)] = 10;
    }
    return { logits, hidden };
  }

  readCache(_layer: number, _part: "key" | "value", position: number, count: number): Float32Array {
    return Float32Array.from(this.cells.subarray(position, position + count));
  }

  close(): void {
    this.closed = true;
  }
}
