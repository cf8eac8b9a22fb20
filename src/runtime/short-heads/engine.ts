/**
 * An engine with short heads beside it: a pass whose head is one runs without logits, and the short head over what comes out.
 * The target's passes are the engine's own, and go through as they are; so does every pass over the whole vocabulary.
 */
import { type ChoiceSet, inTargetsTerms, isShort, type Kernel, type ShortKernel } from "../../schema/choice.js";
import type { Numerics } from "../../schema/numerics.js";
import {
  argmax,
  type Engine,
  type GreedyRound,
  type GreedyRoundResult,
  type LikeliestResult,
  noShortHead,
  type Pass,
  type PassResult,
  type QueuedPass,
} from "../engine.js";
import { MAX_LOGIT_ROWS } from "../limits.js";
import { passTokens } from "../pass/require.js";
import type { ShortHead } from "./short-head.js";
import type { TextTokens } from "./text-tokens.js";

/** Short heads of one model. */
export interface ShortHeads {
  byName: ReadonlyMap<ShortKernel, ShortHead>;
  /** a text of its own for every cache */
  newText(capacity: number): TextTokens;
  close(): void;
}

/** @param heads closed with the engine */
export const withShortHeads = (engine: Engine, heads: ShortHeads): Engine => new ShortHeadEngine(engine, heads, true);

class ShortHeadEngine implements Engine {
  readonly spec: Engine["spec"];
  readonly capacity: number;
  readonly kernels: readonly Kernel[];
  readonly shortHeads: readonly ShortKernel[];
  readonly numerics: Numerics;
  readonly keepRows?: NonNullable<Engine["keepRows"]>;
  readonly likeliest?: NonNullable<Engine["likeliest"]>;
  readonly greedyRound?: NonNullable<Engine["greedyRound"]>;
  readonly runQueued?: NonNullable<Engine["runQueued"]>;
  readonly withOwnCache?: NonNullable<Engine["withOwnCache"]>;
  readonly endNodeTimings?: NonNullable<Engine["endNodeTimings"]>;
  private readonly text: TextTokens;
  /** the short head of choices, and the choices without it; null: they have none */
  private readonly asked = new WeakMap<ChoiceSet, { head: ShortHead; inner: ChoiceSet } | null>();
  private readonly others = new Set<Engine>();

  constructor(
    private readonly engine: Engine,
    private readonly heads: ShortHeads,
    private readonly owns: boolean,
  ) {
    const { spec, capacity, kernels, numerics } = engine;
    this.spec = spec;
    this.capacity = capacity;
    this.kernels = kernels;
    this.numerics = numerics;
    this.shortHeads = [...heads.byName.keys()];
    this.text = heads.newText(capacity);
    if (engine.keepRows !== undefined)
      this.keepRows = (position, rows) => {
        engine.keepRows?.(position, rows);
        this.text.keep(position, rows);
      };
    if (engine.likeliest !== undefined) this.likeliest = (pass) => this.likeliestOf(pass);
    if (engine.greedyRound !== undefined) this.greedyRound = (round) => this.roundOf(round);
    if (engine.runQueued !== undefined) this.runQueued = (pass, times) => this.queue(pass, times);
    if (engine.endNodeTimings !== undefined) this.endNodeTimings = () => engine.endNodeTimings?.() ?? [];
    if (engine.withOwnCache !== undefined)
      this.withOwnCache = () => {
        const other = new ShortHeadEngine((engine.withOwnCache as () => Engine)(), heads, false);
        this.others.add(other);
        return other;
      };
  }

  run(pass: Pass): PassResult {
    const short = this.shortOf(pass.choices);
    if (short === null) {
      const result = this.engine.run(pass);
      this.see(pass);
      return result;
    }
    const { position, logitRows } = pass;
    const q = passTokens(pass.input, this.spec);
    if (!Number.isInteger(logitRows) || logitRows < 0 || logitRows > Math.min(q, MAX_LOGIT_ROWS))
      throw new RangeError(`a pass of ${q} tokens with ${logitRows} rows of logits is out of range`);
    const { hidden } = this.engine.run({ ...pass, choices: short.inner, logitRows: 0 });
    this.see(pass);
    const first = q - logitRows;
    const states = hidden.subarray(first * this.spec.hiddenSize);
    return { logits: short.head.run(states, this.text, position + first), hidden };
  }

  private likeliestOf(pass: Omit<Pass, "logitRows">): LikeliestResult {
    const { engine, spec } = this;
    if (this.shortOf(pass.choices) === null) {
      const result = (engine.likeliest as NonNullable<Engine["likeliest"]>)(pass);
      this.see(pass);
      return result;
    }
    const q = passTokens(pass.input, spec);
    const { logits, hidden } = this.run({ ...pass, logitRows: q });
    return { likeliest: Array.from({ length: q }, (_, row) => argmax(logits, row, spec.vocabSize)), hidden };
  }

  /** With a short head the host is between the passes: it knows which token a logit is of. */
  private roundOf(round: GreedyRound): GreedyRoundResult {
    const { position, pending, draft, draftTokens, verifier } = round;
    if (this.shortOf(draft) === null && this.shortOf(verifier) === null) {
      const result = (this.engine.greedyRound as NonNullable<Engine["greedyRound"]>)(round);
      this.text.put(position, [pending, ...result.drafted]);
      return result;
    }
    const drafted: number[] = [];
    const fromMs = performance.now();
    for (let input = pending; drafted.length < draftTokens; input = drafted[drafted.length - 1]) {
      const { likeliest } = this.likeliestOf({
        position: position + drafted.length,
        input: [input],
        choices: draft,
        round: position,
      });
      drafted.push(likeliest[0]);
    }
    const draftedMs = performance.now();
    const verified = this.likeliestOf({ position, input: [pending, ...drafted], choices: verifier, round: position });
    const totalMs = performance.now() - fromMs;
    const draftShare = totalMs > 0 ? (draftedMs - fromMs) / totalMs : 0;
    return { likeliest: verified.likeliest, hidden: verified.hidden, drafted, draftShare };
  }

  /** With a short head every pass ends with the host, as in a round of such drafts. */
  private queue(pass: QueuedPass, times: number): void {
    const { position, input, choices, head } = pass;
    if (this.shortOf(choices) === null) {
      (this.engine.runQueued as NonNullable<Engine["runQueued"]>)(pass, times);
      this.see(pass);
      return;
    }
    for (let i = 0; i < times; i++) {
      if (head) this.likeliestOf({ position, input, choices });
      else this.run({ position, input, choices, logitRows: 0 });
    }
  }

  private see({ position, input }: Omit<Pass, "logitRows">): void {
    if (!("hidden" in input)) this.text.put(position, input);
  }

  private shortOf(choices: ChoiceSet): { head: ShortHead; inner: ChoiceSet } | null {
    let found = this.asked.get(choices);
    if (found === undefined) {
      const own = inTargetsTerms(choices, this.numerics.targetPrecision);
      found = isShort(own.head) ? { head: this.headOf(own.head), inner: { blocks: own.blocks, head: "target" } } : null;
      this.asked.set(choices, found);
    }
    return found;
  }

  private headOf(name: ShortKernel): ShortHead {
    const head = this.heads.byName.get(name);
    if (head !== undefined) return head;
    throw noShortHead(name, this.shortHeads);
  }

  readCache(layer: number, part: "key" | "value", position: number, count: number): Float32Array {
    return this.engine.readCache(layer, part, position, count);
  }

  close(): void {
    for (const other of this.others) other.close();
    this.others.clear();
    this.engine.close();
    if (this.owns) this.heads.close();
  }
}
