/** A model run by programs: what a pass computes is a graph of its own, over weights and a cache that all of them share. */
import type { ProgramForm } from "../../model/graph/program.js";
import type { ModelSpec } from "../../model/spec.js";
import { type ChoiceSet, type Kernel, layerSpans } from "../../schema/choice.js";
import type { Numerics } from "../../schema/numerics.js";
import {
  type Engine,
  type GreedyRound,
  type GreedyRoundResult,
  type LikeliestResult,
  ownTerms,
  type Pass,
  type PassResult,
  type QueuedPass,
} from "../engine.js";
import { MAX_LOGIT_ROWS } from "../limits.js";
import { passTokens, requirePass } from "../pass/require.js";
import { withinWindows } from "../pass/spanned.js";
import { isChain, noTrees, requireAscendingRows } from "../tree.js";
import type { ProgramCore } from "./core.js";
import { Passes } from "./passes.js";
import { queueRound, queueSame } from "./round.js";

export class ProgramEngine implements Engine {
  readonly spec: ModelSpec;
  readonly capacity: number;
  readonly kernels: readonly Kernel[];
  readonly numerics: Numerics;
  private readonly ownTerms: (choices: ChoiceSet) => ChoiceSet;
  private readonly passes: Passes;
  private readonly others = new Set<ProgramEngine>();
  private closed = false;

  /** @param first the engine whose weights another one shares, and which closes them; undefined: this one */
  constructor(
    private readonly core: ProgramCore,
    private readonly first?: ProgramEngine,
  ) {
    const { spec, capacity, kernels, numerics } = core;
    this.spec = spec;
    this.capacity = capacity;
    this.kernels = kernels;
    this.numerics = numerics;
    const named = ownTerms(numerics.targetPrecision, kernels);
    this.ownTerms = withinWindows(spec, named);
    this.passes = new Passes(core);
  }

  run(pass: Pass): PassResult {
    const { memory } = this.core;
    const { logits } = this.passes.buffers;
    const q = this.ask(pass, "logits");
    memory.pull({ block: logits.block, from: 0 }, logits.bytes(pass.logitRows));
    memory.wait();
    const view = new Float32Array(logits.block.host as ArrayBuffer, 0, pass.logitRows * this.spec.vocabSize);
    return this.passes.withHidden(q, { logits: view });
  }

  likeliest(pass: Omit<Pass, "logitRows">): LikeliestResult {
    const { memory } = this.core;
    const { likeliest } = this.passes.buffers;
    const q = this.ask({ ...pass, logitRows: passTokens(pass.input, this.spec) }, "ids");
    memory.pull({ block: likeliest.block, from: 0 }, likeliest.bytes(q));
    memory.wait();
    const found = Array.from(new BigInt64Array(likeliest.block.host as ArrayBuffer, 0, q), Number);
    return this.passes.withHidden(q, { likeliest: found });
  }

  /** @returns q, its tokens */
  private ask(pass: Pass, head: ProgramForm["head"]): number {
    this.assertOpen();
    const q = requirePass(this, pass);
    const { position, logitRows, round = position } = pass;
    const choices = this.ownTerms(pass.choices);
    const parents = this.treeOf(pass);
    if (parents !== undefined && layerSpans(choices) !== null) throw noTrees("attention with a span runs chains alone");
    const rows = logitRows === 0 ? "none" : logitRows === q ? "every" : "some";
    const form: ProgramForm = {
      choices,
      entry: "hidden" in pass.input ? "hidden" : "ids",
      rows,
      head,
      tree: parents !== undefined,
    };
    const { passes } = this;
    passes.put(pass.input, q);
    passes.buffers.logitsFrom.data[0] = BigInt(q - logitRows);
    passes.setLength(position + q - 1);
    passes.written(position);
    passes.readSpans(choices, { round, position, q });
    passes.ask(form, { position, q, rows: logitRows }, parents);
    return q;
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
    return queueRound(this.core, this.passes, { ...round, draft, verifier });
  }

  runQueued(pass: QueuedPass, times: number): void {
    this.assertOpen();
    const choices = this.ownTerms(pass.choices);
    requirePass(this, { ...pass, choices, logitRows: pass.input.length });
    queueSame(this.core, this.passes, { ...pass, choices }, times);
  }

  /** undefined: a chain */
  private treeOf({ parents }: Pass): ArrayLike<number> | undefined {
    if (parents === undefined || isChain(parents)) return undefined;
    const { trees } = this.core;
    if (trees === null) return parents;
    throw noTrees(trees.refused);
  }

  keepRows(position: number, rows: ArrayLike<number>): void {
    this.assertOpen();
    requireAscendingRows(rows, this.capacity - position);
    this.core.memory.wait();
    this.passes.written(position);
    this.passes.cache.keepRows(position, rows);
  }

  readCache(layer: number, part: "key" | "value", position: number, count: number): Float32Array {
    this.assertOpen();
    return this.passes.cache.read(layer, part, position, count);
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
    else this.passes.free();
    this.passes.close();
  }
}
