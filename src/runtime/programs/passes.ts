/** Passes of programs over one cache: what they read is put where they read it, bound, and what they gave fetched. */
import { PROGRAM, type ProgramForm } from "../../model/graph/program.js";
import { type Choice, type ChoiceSet, type LayerSpans, layerSpans, spanned } from "../../schema/choice.js";
import { CACHE_PARTS } from "../cache/memory.js";
import type { Pass } from "../engine.js";
import { putIds } from "../pass/require.js";
import type { SpannedPass } from "../pass/spanned.js";
import { toldTotal } from "../tree-inputs.js";
import type { ProgramCore } from "./core.js";
import { PassBuffers } from "./pass-buffers.js";
import type { Shape } from "./pass-runner.js";
import { ProgramCache } from "./program-cache.js";
import type { ProgramSession } from "./program-session.js";
import { SpanRows } from "./span-rows.js";
import type { Tensors } from "./tensors.js";
import { TreeRows } from "./tree-rows.js";

export class Passes {
  readonly buffers: PassBuffers;
  readonly cache: ProgramCache;
  private readonly tensors: Tensors;
  private treeRows: TreeRows | undefined;
  private spanRows: SpanRows | undefined;
  /** tokens of the context when the round began whose passes come now: what spans count back from */
  private round = 0;

  constructor(private readonly core: ProgramCore) {
    const { spec, capacity, memory, numerics, mover } = core;
    this.tensors = core.tensors();
    this.buffers = new PassBuffers(memory, this.tensors, spec);
    this.cache = new ProgramCache(memory, this.tensors, spec, capacity, numerics.float, mover);
  }

  /** The context's cache is written from this token on. */
  written(position: number): void {
    this.spanRows?.written(position);
  }

  /**
   * Before a pass of these choices: its small caches hold what its spans read, and its lengths and places are set. Of choices
   * without spans, nothing.
   * @throws RangeError where the round is longer than a small cache has room for
   */
  readSpans(choices: ChoiceSet, pass: SpannedPass): void {
    const spans = layerSpans(choices);
    if (spans === null) return;
    this.spans().put(spans, this.buffers, pass);
    this.takeOver(spans, pass.round);
  }

  /** The same for so many steps of a round, whose lengths and places `step` then puts where a pass reads them. */
  readSpansInSteps(choices: ChoiceSet, round: number, steps: number): (step: number) => void {
    const spans = layerSpans(choices);
    if (spans === null || steps === 0) return () => {};
    this.spans().putSteps(spans, round, steps);
    this.takeOver(spans, round);
    return (step) => this.spans().step(spans, this.buffers, step);
  }

  private takeOver(spans: LayerSpans, round: number): void {
    this.round = round;
    const stale = this.spans().stale(spans, round);
    if (stale === null) return;
    const { programs, runner } = this.core;
    const blocks = stale.flatMap((span): Choice[] => [span === null ? "skip" : spanned("target", span), "skip"]);
    const choices: ChoiceSet = { blocks, head: "target" };
    const form: ProgramForm = { choices, entry: "ids", rows: "none", head: "ids", tree: false, refresh: true };
    const shape = { position: round, q: 1, rows: 0 };
    const program = programs.get(form, runner.variant(form, shape));
    program.over(this.cache);
    this.spans().takeOver(stale, round, program);
    const layer = stale.findIndex((span) => span !== null);
    const outputs = () => CACHE_PARTS.map((part) => this.cache.smallBytes(layer, part, stale[layer] as number));
    runner.run(program, { form, shape, total: 0, over: this, outputs });
  }

  private spans(): SpanRows {
    const { memory, capacity } = this.core;
    this.spanRows ??= new SpanRows(memory, this.tensors, capacity);
    return this.spanRows;
  }

  /** Asks for one pass; its ids or states, its length and what its spans read are where it reads them. */
  ask(form: ProgramForm, shape: Shape, parents: ArrayLike<number> | undefined): void {
    const { programs, runner, capacity } = this.core;
    const program = programs.get(form, runner.variant(form, shape));
    const { total, logitsFrom } = this.buffers;
    const { position, q } = shape;
    const told = parents === undefined ? position + q : toldTotal(position, q);
    total.data[0] = runner.frozenTotal(form, shape, capacity) ?? told;
    program.over(this.cache);
    if (form.rows === "some") program.input(PROGRAM.logitsFrom, logitsFrom.tensor);
    this.bind(program, form, shape);
    const spans = layerSpans(form.choices);
    const frozen = runner.frozenTotal(form, shape, capacity) !== undefined;
    if (spans !== null) this.spans().bind(spans, program, this.buffers, { ...shape, round: this.round }, frozen);
    const outputs = () => this.outputs(form, shape);
    const run = () => runner.run(program, { form, shape, total: total.data[0], over: this, outputs });
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

  put(input: Pass["input"], q: number): void {
    const { memory } = this.core;
    if ("hidden" in input) {
      const { hiddenIn } = this.buffers;
      new Float32Array(hiddenIn.block.host as ArrayBuffer).set(input.hidden);
      memory.push({ block: hiddenIn.block, from: 0 }, hiddenIn.bytes(q));
      return;
    }
    const { ids } = this.buffers;
    putIds(new BigInt64Array(ids.block.host as ArrayBuffer), input, this.core.spec);
    memory.push({ block: ids.block, from: 0 }, ids.bytes(q));
  }

  setLength(last: number): void {
    const { length } = this.buffers;
    new Int32Array(length.block.host as ArrayBuffer)[0] = last;
    this.core.memory.push({ block: length.block, from: 0 }, 4);
  }

  /** Adds the states of a pass, fetched when they are asked for: most passes are asked for their logits alone. */
  withHidden<T extends object>(q: number, result: T): T & { readonly hidden: Float32Array } {
    const { memory } = this.core;
    const { hiddenOut } = this.buffers;
    let fetched: Float32Array | undefined;
    const fetch = () => {
      memory.pull({ block: hiddenOut.block, from: 0 }, hiddenOut.bytes(q));
      memory.wait();
      return new Float32Array(hiddenOut.block.host as ArrayBuffer, 0, q * this.core.spec.hiddenSize);
    };
    const get = () => {
      fetched ??= fetch();
      return fetched;
    };
    return Object.defineProperty(result, "hidden", { get, enumerable: true }) as T & { readonly hidden: Float32Array };
  }

  private trees(): TreeRows {
    const { memory, spec, capacity, numerics } = this.core;
    this.treeRows ??= new TreeRows(memory, this.tensors, spec, capacity, numerics.float);
    return this.treeRows;
  }

  /** Gives its memory back, before the core's is closed. */
  free(): void {
    const { memory, programs } = this.core;
    memory.wait();
    for (const program of programs.all) program.leave(this.cache);
    this.buffers.free();
    this.treeRows?.free();
    this.spanRows?.free();
    this.cache.free();
  }

  /** Once nothing is bound to its tensors any more. */
  close(): void {
    this.tensors.close();
  }
}
