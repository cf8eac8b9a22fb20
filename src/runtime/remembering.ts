/**
 * An engine that reads no prompt twice. Measuring goes through the same prompts again and again, once to continue them and once
 * more for every round of drafts, and a long prompt's passes take longer than all that is measured behind them: so what the
 * target's long passes wrote into the cache, and what they gave, is kept in this process's memory and put back.
 *
 * Which tokens the cache holds is told by the passes themselves: a pass of the target over ids, one behind the other, adds them
 * behind those before its position; any other pass ends what is known at its position.
 */
import type { ChoiceSet } from "../schema/choice.js";
import type { CacheRows, SavedRows } from "./cache/saved-rows.js";
import type { Engine, Pass, PassResult } from "./engine.js";

/** Shorter passes are not kept: a round's are made of what is measured. */
const LEAST_TOKENS = 32;

interface Kept {
  ids: readonly number[];
  rows: SavedRows;
  /** [ids, hiddenSize] */
  hidden: Float32Array;
  /** [1, vocabSize] behind the last token; null: the pass gave none */
  logits: Float32Array | null;
}

/**
 * @param bytes that may be kept; what comes when they are full is not
 * @returns the engine itself where its cache is not in this process's memory
 */
export function rememberingPrompts(engine: Engine, bytes: number): Engine {
  return engine.rows === undefined ? engine : new RememberingEngine(engine, engine.rows, bytes);
}

class RememberingEngine implements Engine {
  readonly spec: Engine["spec"];
  readonly capacity: number;
  readonly kernels: Engine["kernels"];
  readonly numerics: Engine["numerics"];
  readonly shortHeads?: NonNullable<Engine["shortHeads"]>;
  readonly keepRows?: NonNullable<Engine["keepRows"]>;
  readonly withOwnCache?: NonNullable<Engine["withOwnCache"]>;
  readonly rows: CacheRows;
  /** tokens that the cache is known to hold as the target left them */
  private text: number[] = [];
  /** by the tokens before them */
  private readonly kept = new Map<string, Kept[]>();
  private bytesLeft: number;

  constructor(
    private readonly engine: Engine,
    private readonly cache: CacheRows,
    bytes: number,
  ) {
    const { spec, capacity, kernels, numerics, shortHeads } = engine;
    this.spec = spec;
    this.capacity = capacity;
    this.kernels = kernels;
    this.numerics = numerics;
    this.bytesLeft = bytes;
    this.rows = {
      save: (position, count) => cache.save(position, count),
      restore: (saved) => {
        this.forgetFrom(saved.position);
        cache.restore(saved);
      },
    };
    if (shortHeads !== undefined) this.shortHeads = shortHeads;
    if (engine.keepRows !== undefined)
      this.keepRows = (position, rows) => {
        engine.keepRows?.(position, rows);
        this.forgetFrom(position);
      };
    if (engine.withOwnCache !== undefined) this.withOwnCache = () => (engine.withOwnCache as () => Engine)();
  }

  run(pass: Pass): PassResult {
    const { position, input, choices, parents, logitRows } = pass;
    if ("hidden" in input || parents !== undefined || !isTarget(choices)) {
      this.forgetFrom(position);
      return this.engine.run(pass);
    }
    if (position > this.text.length) return this.engine.run(pass); // nobody knows what lies before it
    const before = this.text.slice(0, position);
    const ids = Array.from(input);
    this.text = [...before, ...ids];
    if (ids.length < LEAST_TOKENS) return this.engine.run(pass);
    const key = before.join();
    const known = this.find(key, ids, logitRows);
    if (known === null) return this.runAndKeep(pass, key, ids);
    this.cache.restore(known.rows);
    const none = new Float32Array(0);
    if (known.ids.length === ids.length)
      return { hidden: known.hidden, logits: logitRows === 0 ? none : (known.logits ?? none) };
    const from = known.ids.length;
    const rest = this.run({ ...pass, position: position + from, input: ids.slice(from) });
    const hidden = new Float32Array(known.hidden.length + rest.hidden.length);
    hidden.set(known.hidden);
    hidden.set(rest.hidden, known.hidden.length);
    return { logits: rest.logits, hidden };
  }

  /** The longest pass that was kept, of the same beginning, and leaves what is asked for to be run or has it itself. */
  private find(key: string, ids: readonly number[], logitRows: number): Kept | null {
    let best: Kept | null = null;
    for (const one of this.kept.get(key) ?? []) {
      const whole = one.ids.length === ids.length;
      const suffices = whole
        ? logitRows === 0 || (logitRows === 1 && one.logits !== null)
        : logitRows <= ids.length - one.ids.length;
      if (!suffices || one.ids.length > ids.length || one.ids.length <= (best?.ids.length ?? 0)) continue;
      if (one.ids.every((id, i) => id === ids[i])) best = one;
    }
    return best;
  }

  private runAndKeep(pass: Pass, key: string, ids: readonly number[]): PassResult {
    const result = this.engine.run(pass);
    if (pass.logitRows > 1 || this.bytesLeft <= 0) return result;
    const rows = this.cache.save(pass.position, ids.length);
    const hidden = result.hidden.slice();
    const logits = pass.logitRows === 0 ? null : result.logits.slice();
    const bytes = rows.bytes + hidden.byteLength + (logits?.byteLength ?? 0);
    if (bytes > this.bytesLeft) return result;
    this.bytesLeft -= bytes;
    this.kept.set(key, [...(this.kept.get(key) ?? []), { ids, rows, hidden, logits }]);
    return result;
  }

  private forgetFrom(position: number): void {
    if (this.text.length > position) this.text.length = position;
  }

  readCache(layer: number, part: "key" | "value", position: number, count: number): Float32Array {
    return this.engine.readCache(layer, part, position, count);
  }

  /** What was kept goes; the engine goes with it. */
  close(): void {
    this.kept.clear();
    this.engine.close();
  }
}

const targets = new WeakMap<ChoiceSet, boolean>();

/** All blocks and the head as the target has them. */
function isTarget(choices: ChoiceSet): boolean {
  let is = targets.get(choices);
  if (is === undefined) {
    is = choices.head === "target" && choices.blocks.every((choice) => choice === "target");
    targets.set(choices, is);
  }
  return is;
}
