/**
 * How well trained heads know the target's own text: at every position of a continuation the ranks that its next tokens
 * have under heads 1, 2, …, up to the first that its head does not list.
 *
 * No draft is run. The target's states at all positions come from one pass over the continuation, whose keys and values
 * are there already, and the heads look at many of them at once. Each head is told the path of the text itself, since a
 * node is only asked for where all before it were right.
 */
import type { Progress } from "../core/progress.js";
import type { Heads, LocatedHeads } from "../decode/drafters/heads.js";
import type { Engine } from "../runtime/engine.js";
import { MAX_PASS_TOKENS } from "../runtime/limits.js";
import { targetChoices } from "../schema/choice.js";
import type { HeadsCalibration, HeadsContext } from "../schema/heads-calibration.js";
import { MAX_HEADS_POSITIONS } from "../schema/heads-calibration.js";
import type { Continuation, ContinuedPrompts } from "./continuation.js";

/** Rows of one pass of the heads: their logits are rows · heads · vocabulary numbers. */
const BATCH_ROWS = 32;

/**
 * @param continuation whose prompt the cache holds; it holds the continuation afterwards
 * @returns [positions] ranks of the tokens behind each token of the continuation, but for the last ones, which have fewer
 *   tokens behind them than there are heads
 */
export async function ranksAlong(
  engine: Engine,
  heads: Heads,
  continuation: Continuation,
  progress: Progress,
): Promise<number[][]> {
  const positions = Math.max(0, continuation.ids.length - heads.heads);
  if (positions === 0) return [];
  const { prompt, ids } = continuation;
  const { hiddenSize } = engine.spec;
  const text = [...prompt, ...ids];
  // where the first token of the continuation was chosen: behind the prompt's last one
  const first = prompt.length - 1;
  let states: Float32Array;
  if (heads.states === undefined) states = await targetStates(engine, text, first, positions, progress);
  else {
    const all = await targetStates(engine, text, 0, first + positions, progress);
    if (first > 0) heads.states(0, all.subarray(0, first * hiddenSize));
    states = all.subarray(first * hiddenSize);
  }
  const rows = heads.states === undefined ? BATCH_ROWS : 1;
  const ranks: number[][] = [];
  for (let from = 0; from < positions; from += rows) {
    const count = Math.min(rows, positions - from);
    const hidden = states.subarray(from * hiddenSize, (from + count) * hiddenSize);
    heads.states?.(first + from, hidden);
    ranks.push(...ranksOfRows(heads, hidden, ids, from, count));
    await progress.tick();
  }
  return ranks;
}

/** [count, hiddenSize] the target's last states at so many tokens of the text, before the final norm. */
async function targetStates(
  engine: Engine,
  text: readonly number[],
  from: number,
  count: number,
  progress: Progress,
): Promise<Float32Array> {
  const { layers, hiddenSize } = engine.spec;
  const states = new Float32Array(count * hiddenSize);
  const choices = targetChoices(layers);
  for (let done = 0; done < count; done += MAX_PASS_TOKENS) {
    const input = text.slice(from + done, from + Math.min(count, done + MAX_PASS_TOKENS));
    states.set(engine.run({ position: from + done, input, choices, logitRows: 0 }).hidden, done * hiddenSize);
    await progress.tick();
  }
  return states;
}

/** @param hidden [count, hiddenSize] states where ids[from], ids[from + 1], … were chosen */
function ranksOfRows(
  heads: Heads,
  hidden: Float32Array,
  ids: readonly number[],
  from: number,
  count: number,
): number[][] {
  const ranks = Array.from({ length: count }, (): number[] => []);
  /** looks for the tokens at one depth where all before it were found */
  const look = (guesses: Int32Array, depth: number, at: (row: number) => number) => {
    for (let row = 0; row < count; row++) {
      if (ranks[row].length < depth) continue;
      const start = at(row);
      const rank = guesses.subarray(start, start + heads.ranks).indexOf(ids[from + row + 1 + depth]);
      if (rank !== -1) ranks[row].push(rank);
    }
  };
  if (heads.guessAll !== undefined) {
    const guesses = heads.guessAll(hidden);
    for (let depth = 0; depth < heads.heads; depth++)
      look(guesses, depth, (row) => (row * heads.heads + depth) * heads.ranks);
    return ranks;
  }
  for (let depth = 0; depth < heads.heads; depth++) {
    const trail = new Int32Array(count * (depth + 1));
    for (let row = 0; row < count; row++)
      for (let i = 0; i <= depth; i++) trail[row * (depth + 1) + i] = ids[from + row + i];
    look(heads.guess(hidden, depth, trail), depth, (row) => row * heads.ranks);
  }
  return ranks;
}

/** What heads were seen to know of one part of a text at one context. */
class PartEvidence {
  /** [texts][positions] */
  readonly texts: number[][][] = [];
  positions = 0;

  add(ranks: number[][]): void {
    if (ranks.length === 0) return;
    this.texts.push(ranks);
    this.positions += ranks.length;
  }

  /** every path once, the commonest first */
  record(at: number, part: HeadsContext["part"]): HeadsContext {
    const counts = new Map<string, { ranks: number[]; positions: number }>();
    for (const ranks of this.texts.flat()) {
      const path = counts.get(ranks.join()) ?? { ranks, positions: 0 };
      path.positions++;
      counts.set(ranks.join(), path);
    }
    const paths = [...counts.values()].sort((a, b) => b.positions - a.positions);
    const index = new Map(paths.map(({ ranks }, i) => [ranks.join(), i]));
    const texts = this.texts.map((text) => text.map((ranks) => index.get(ranks.join()) as number));
    return { at_context: at, part, positions: this.positions, paths, texts };
  }
}

/** Heads measured along continuations, as these are made. */
export class HeadsEvidence {
  /** [heads] by context and part */
  private readonly found: Map<string, PartEvidence>[];

  constructor(private readonly measured: readonly LocatedHeads[]) {
    this.found = measured.map(() => new Map());
  }

  /**
   * Takes one more continuation, whose states the cache holds as after making it. Past what a document keeps it takes none.
   */
  async take(
    engine: Engine,
    at: number,
    part: HeadsContext["part"],
    continuation: Continuation,
    progress: Progress,
  ): Promise<void> {
    for (const [i, { heads }] of this.measured.entries()) {
      const evidence = this.part(i, at, part);
      if (evidence.positions + continuation.ids.length > MAX_HEADS_POSITIONS) continue;
      evidence.add(await ranksAlong(engine, heads, continuation, progress));
    }
  }

  /**
   * Goes on along further prompts until there are so many positions: the last tokens of a continuation have too few behind
   * them to count.
   */
  async complete(
    engine: Engine,
    at: number,
    part: HeadsContext["part"],
    text: ContinuedPrompts,
    positions: number,
    progress: Progress,
  ): Promise<void> {
    while (this.positions(at, part) < Math.min(positions, MAX_HEADS_POSITIONS / 2)) {
      const made = await text.next(progress);
      if (made === null) return;
      await this.take(engine, at, part, made, progress);
    }
  }

  /** Positions that heads were measured on there, those of the heads with the fewest; of no heads as many as one likes. */
  private positions(at: number, part: HeadsContext["part"]): number {
    return Math.min(...this.measured.map((_, i) => this.part(i, at, part).positions));
  }

  /** Of every heads that were measured at all; empty: there is nothing to say. */
  records(): HeadsCalibration[] {
    return this.measured.flatMap(({ heads: { kind, heads, ranks, sha256 }, path }, i) => {
      const contexts = [...this.found[i]].flatMap(([key, evidence]) => {
        const [part, at] = key.split(" ");
        return evidence.positions === 0 ? [] : [evidence.record(Number(at), part as HeadsContext["part"])];
      });
      return contexts.length === 0 ? [] : [{ path, sha256, kind, heads, ranks, contexts }];
    });
  }

  /** What a calibration says of heads: of none no key. */
  keys(): { heads?: HeadsCalibration[] } {
    const heads = this.records();
    return heads.length === 0 ? {} : { heads };
  }

  private part(i: number, at: number, part: HeadsContext["part"]): PartEvidence {
    const key = `${part} ${at}`;
    const evidence = this.found[i].get(key) ?? new PartEvidence();
    this.found[i].set(key, evidence);
    return evidence;
  }
}
