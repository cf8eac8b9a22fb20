/** A model run by programs: what a pass computes is a graph of its own, over weights and a cache that all of them share. */
import { DraftplanError } from "../../core/errors.js";
import type { GraphDialect } from "../../model/graph/dialect.js";
import { PROGRAM, type ProgramForm } from "../../model/graph/program.js";
import type { ModelSpec } from "../../model/spec.js";
import type { ChoiceSet, Kernel } from "../../schema/choice.js";
import type { Numerics } from "../../schema/numerics.js";
import type { MoverOwner } from "../cache/row-mover.js";
import {
  type Engine,
  type GreedyRound,
  type GreedyRoundResult,
  ownTerms,
  type Pass,
  type PassResult,
} from "../engine.js";
import { MAX_LOGIT_ROWS } from "../limits.js";
import { putIds, requirePass } from "../pass/require.js";
import { isChain, requireAscendingRows } from "../tree.js";
import { toldTotal } from "../tree-inputs.js";
import type { ComputeMemory } from "./memory.js";
import { PassBuffers } from "./pass-buffers.js";
import type { PassRunner, Shape } from "./pass-runner.js";
import { ProgramCache } from "./program-cache.js";
import type { ProgramSession } from "./program-session.js";
import type { Programs } from "./programs.js";
import type { Tensors } from "./tensors.js";
import { TreeRows } from "./tree-rows.js";

/** What engines over one store of weights share. */
export interface ProgramCore extends Pick<Engine, "capacity" | "kernels" | "numerics" | "spec"> {
  dialect: GraphDialect;
  memory: ComputeMemory;
  /** made anew for every engine, which closes them */
  tensors(): Tensors;
  programs: Programs<ProgramSession>;
  runner: PassRunner;
  /** null: no trees run there, and why */
  trees: { refused: string } | null;
  /** a graph of its own moves rows of the cache; undefined: they are moved in the host's memory */
  mover: MoverOwner | undefined;
  close(): void;
}

export class ProgramEngine implements Engine {
  readonly spec: ModelSpec;
  readonly capacity: number;
  readonly kernels: readonly Kernel[];
  readonly numerics: Numerics;
  private readonly ownTerms: (choices: ChoiceSet) => ChoiceSet;
  private readonly tensors: Tensors;
  private readonly buffers: PassBuffers;
  private readonly cache: ProgramCache;
  private treeRows: TreeRows | undefined;
  private readonly others = new Set<ProgramEngine>();
  private closed = false;

  /** @param first the engine whose weights another one shares, and which closes them; undefined: this one */
  constructor(
    private readonly core: ProgramCore,
    private readonly first?: ProgramEngine,
  ) {
    const { spec, capacity, kernels, numerics, memory, dialect, mover } = core;
    this.tensors = core.tensors();
    this.spec = spec;
    this.capacity = capacity;
    this.kernels = kernels;
    this.numerics = numerics;
    this.ownTerms = ownTerms(numerics.targetPrecision, kernels, "a program");
    this.buffers = new PassBuffers(memory, this.tensors, spec);
    this.cache = new ProgramCache(memory, this.tensors, spec, capacity, dialect.float, mover);
  }

  run(pass: Pass): PassResult {
    this.assertOpen();
    const q = requirePass(this, pass);
    const { position, logitRows } = pass;
    const choices = this.ownTerms(pass.choices);
    const parents = this.treeOf(pass);
    const hidden = "hidden" in pass.input ? pass.input.hidden : undefined;
    const rows = logitRows === 0 ? "none" : logitRows === q ? "every" : "some";
    const form: ProgramForm = {
      choices,
      entry: hidden === undefined ? "ids" : "hidden",
      rows,
      head: "logits",
      tree: parents !== undefined,
    };
    this.put(pass.input, q);
    this.buffers.logitsFrom.data[0] = BigInt(q - logitRows);
    this.setLength(position + q - 1);
    this.pass(form, { position, q, rows: logitRows }, parents);
    const { memory } = this.core;
    const { logits } = this.buffers;
    memory.pull({ block: logits.block, from: 0 }, logits.bytes(logitRows));
    memory.wait();
    return {
      logits: new Float32Array(logits.block.host as ArrayBuffer, 0, logitRows * this.spec.vocabSize),
      ...this.hiddenOf(q),
    };
  }

  greedyRound(round: GreedyRound): GreedyRoundResult {
    this.assertOpen();
    const { position, pending, draftTokens } = round;
    const [draft, verifier] = [this.ownTerms(round.draft), this.ownTerms(round.verifier)];
    if (!Number.isInteger(draftTokens) || draftTokens < 0 || draftTokens >= MAX_LOGIT_ROWS)
      throw new RangeError(`a round of ${draftTokens} drafted tokens is out of range`);
    const q = draftTokens + 1;
    for (const choices of [draft, verifier])
      requirePass(this, { position, input: new Array<number>(q).fill(pending), choices, logitRows: q });
    const { memory } = this.core;
    const { ids, likeliest, length, lengths, round: tokens } = this.buffers;
    const at = (row: number, { block }: { block: typeof ids.block }, size: number) => ({ block, from: row * size });
    this.beginRound(position, pending, draftTokens);
    const begun = memory.mark();
    const step: ProgramForm = { choices: draft, entry: "ids", rows: "every", head: "ids", tree: false };
    for (let i = 0; i < draftTokens; i++) {
      memory.copy(at(i, tokens, 8), at(0, ids, 8), 8);
      memory.copy(at(i, lengths, 4), at(0, length, 4), 4);
      this.pass(step, { position: position + i, q: 1, rows: 1 }, undefined);
      memory.copy(at(0, likeliest, 8), at(i + 1, tokens, 8), 8);
    }
    const drafted = memory.mark();
    memory.copy(at(0, tokens, 8), at(0, ids, 8), 8 * q);
    memory.copy(at(draftTokens, lengths, 4), at(0, length, 4), 4);
    this.pass({ ...step, choices: verifier }, { position, q, rows: q }, undefined);
    memory.copy(at(0, likeliest, 8), at(q, tokens, 8), 8 * q);
    memory.pull(at(0, tokens, 8), 16 * q);
    const verified = memory.mark();
    memory.wait();
    const found = Array.from(new BigInt64Array(tokens.block.host as ArrayBuffer, 0, 2 * q), Number);
    const draftUs = memory.elapsedUs(begun, drafted);
    const allUs = memory.elapsedUs(begun, verified);
    const draftShare = allUs > 0 ? Math.min(1, draftUs / allUs) : 0;
    return { drafted: found.slice(1, q), likeliest: found.slice(q), ...this.hiddenOf(q), draftShare };
  }

  /** The pending token, and the length in every pass of the round, before any of them. */
  private beginRound(position: number, pending: number, draftTokens: number): void {
    const { memory } = this.core;
    const { round, lengths } = this.buffers;
    putIds(new BigInt64Array(round.block.host as ArrayBuffer), [pending], this.spec);
    const each = new Int32Array(lengths.block.host as ArrayBuffer);
    // step i's one row stands at position + i; the verification's last one at position + draftTokens
    for (let i = 0; i <= draftTokens; i++) each[i] = position + i;
    memory.push({ block: round.block, from: 0 }, 8);
    memory.push({ block: lengths.block, from: 0 }, 4 * (draftTokens + 1));
  }

  /** Asks for one pass; its ids or states and its length are where it reads them. */
  private pass(form: ProgramForm, shape: Shape, parents: ArrayLike<number> | undefined): void {
    const { programs, runner } = this.core;
    const program = programs.get(form);
    const { total, logitsFrom } = this.buffers;
    const { position, q } = shape;
    const told = parents === undefined ? position + q : toldTotal(position, q);
    total.data[0] = runner.frozenTotal(form, shape, this.capacity) ?? told;
    program.over(this.cache);
    if (form.rows === "some") program.input(PROGRAM.logitsFrom, logitsFrom.tensor);
    this.bind(program, form, shape);
    const run = () => runner.run(program, { form, shape, over: this, outputs: () => this.outputs(form, shape) });
    if (parents === undefined || program.layers.length === 0) {
      run();
      return;
    }
    const trees = this.trees();
    trees.put(this.buffers, position, parents, total.data[0]);
    trees.whileBound(program, this.buffers, q, total.data[0], run);
  }

  /** Copies of what a pass gave, once it is over: for runners that compare two ways to run it. */
  private outputs({ head }: ProgramForm, { q, rows }: Shape): Uint8Array[] {
    const { memory } = this.core;
    const { hiddenOut, likeliest, logits } = this.buffers;
    const of = head === "ids" ? likeliest : logits;
    const parts = [{ of: hiddenOut, count: q }, ...(rows === 0 ? [] : [{ of, count: rows }])];
    for (const { of, count } of parts) memory.pull({ block: of.block, from: 0 }, of.bytes(count));
    memory.wait();
    return parts.map(({ of, count }) => new Uint8Array(of.block.host as ArrayBuffer, 0, of.bytes(count)).slice());
  }

  private bind(program: ProgramSession, { entry, head }: ProgramForm, { q, rows }: Shape): void {
    const { ids, length, total, hiddenOut, logits, likeliest } = this.buffers;
    if (entry === "ids") program.input(PROGRAM.ids, ids.of(q));
    else program.input(PROGRAM.hidden, this.buffers.hiddenIn.of(q));
    if (program.layers.length > 0) {
      program.input(PROGRAM.length, length.of(1));
      program.input(PROGRAM.total, total.tensor);
    }
    program.output(PROGRAM.hiddenOut, hiddenOut.of(q));
    if (rows === 0) return;
    if (head === "ids") program.output(PROGRAM.likeliest, likeliest.of(rows));
    else program.output(PROGRAM.logits, logits.of(rows));
  }

  private put(input: Pass["input"], q: number): void {
    const { memory } = this.core;
    if ("hidden" in input) {
      const { hiddenIn } = this.buffers;
      new Float32Array(hiddenIn.block.host as ArrayBuffer).set(input.hidden);
      memory.push({ block: hiddenIn.block, from: 0 }, hiddenIn.bytes(q));
      return;
    }
    const { ids } = this.buffers;
    putIds(new BigInt64Array(ids.block.host as ArrayBuffer), input, this.spec);
    memory.push({ block: ids.block, from: 0 }, ids.bytes(q));
  }

  private setLength(last: number): void {
    const { length } = this.buffers;
    new Int32Array(length.block.host as ArrayBuffer)[0] = last;
    this.core.memory.push({ block: length.block, from: 0 }, 4);
  }

  /** Fetched when it is asked for: most passes are asked for their logits alone. */
  private hiddenOf(q: number): { readonly hidden: Float32Array } {
    const { memory } = this.core;
    const { hiddenOut } = this.buffers;
    let fetched: Float32Array | undefined;
    const fetch = () => {
      memory.pull({ block: hiddenOut.block, from: 0 }, hiddenOut.bytes(q));
      memory.wait();
      return new Float32Array(hiddenOut.block.host as ArrayBuffer, 0, q * this.spec.hiddenSize);
    };
    return {
      get hidden() {
        fetched ??= fetch();
        return fetched;
      },
    };
  }

  /** undefined: a chain */
  private treeOf({ parents }: Pass): ArrayLike<number> | undefined {
    if (parents === undefined || isChain(parents)) return undefined;
    const { trees } = this.core;
    if (trees === null) return parents;
    throw new DraftplanError({
      code: "CHOICE_UNAVAILABLE",
      at: "a pass over a tree",
      what: trees.refused,
      remedy: "Draft chains, or run the target on the CPU (--provider cpu).",
    });
  }

  private trees(): TreeRows {
    const { memory, spec, capacity, dialect } = this.core;
    this.treeRows ??= new TreeRows(memory, this.tensors, spec, capacity, dialect.float);
    return this.treeRows;
  }

  keepRows(position: number, rows: ArrayLike<number>): void {
    this.assertOpen();
    requireAscendingRows(rows, this.capacity - position);
    this.core.memory.wait();
    this.cache.keepRows(position, rows);
  }

  readCache(layer: number, part: "key" | "value", position: number, count: number): Float32Array {
    this.assertOpen();
    return this.cache.read(layer, part, position, count);
  }

  withOwnCache(): Engine {
    this.assertOpen();
    const first = this.first ?? this;
    const other = new ProgramEngine(this.core, first);
    this.others.add(other);
    return other;
  }

  private assertOpen(): void {
    if (this.closed) throw new Error("the engine is closed");
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const other of this.others) other.close();
    this.others.clear();
    if (this.first === undefined) this.core.close();
    else {
      this.core.memory.wait();
      for (const program of this.core.programs.all) program.leave(this.cache);
      this.buffers.free();
      this.treeRows?.free();
      this.cache.free();
    }
    this.tensors.close();
  }
}
