/** What was seen of trained heads along continuations, and the record that a calibration keeps of it. */
import type { Progress } from "../core/progress.js";
import type { LocatedHeads } from "../decode/drafters/heads.js";
import type { Engine } from "../runtime/engine.js";
import { type HeadsCalibration, type HeadsContext, MAX_HEADS_POSITIONS } from "../schema/heads-calibration.js";
import { acceptedLengthError } from "../stats/length-error.js";
import { type Continuation, type ContinuedPrompts, kindsKey } from "./continuation.js";
import { ranksAlong, ranksOfStates } from "./heads.js";

/** What heads were seen to know of one part of a text at one context. */
class PartEvidence {
  /** [texts][positions] */
  readonly texts: number[][][] = [];
  /** [texts] of what kind each is, and behind which window of text it stands: those behind one count as one */
  private readonly origins: { kind: number | undefined; window: number }[] = [];
  private readonly windows = new Map<string, number>();
  positions = 0;

  /** @param window names the passage that the prompt is all or a beginning of */
  add(ranks: number[][], { kind, window }: { kind: number | undefined; window: string }): void {
    if (ranks.length === 0) return;
    const index = this.windows.get(window) ?? this.windows.size;
    this.windows.set(window, index);
    this.texts.push(ranks);
    this.origins.push({ kind, window: index });
    this.positions += ranks.length;
  }

  /** Standard error of the tokens of a round of a chain of all heads, as a share of them; null under two texts. */
  error(): number | null {
    return acceptedLengthError(this.texts.map((text, i) => ({ ...chainRounds(text), ...this.origins[i] })));
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
    const windows = this.origins.map(({ window }) => window);
    const told = {
      ...kindsKey(this.origins.map(({ kind }) => kind)),
      ...(this.windows.size < texts.length ? { windows } : {}),
    };
    return { at_context: at, part, positions: this.positions, paths, texts, ...told };
  }
}

/** Rounds of the likeliest chain, each from where the one before it ended. */
function chainRounds(text: readonly (readonly number[])[]): { rounds: number; tokens: number } {
  const found = { rounds: 0, tokens: 0 };
  for (let at = 0; at < text.length; ) {
    const wrong = text[at].findIndex((rank) => rank !== 0);
    const yielded = 1 + (wrong === -1 ? text[at].length : wrong);
    found.rounds++;
    found.tokens += yielded;
    at += yielded;
  }
  return found;
}

/** A text that the target wrote, and its states there. */
export interface StatedText {
  prompt: readonly number[];
  ids: readonly number[];
  /** [ids, hiddenSize] where each was chosen, before the final norm */
  states: Float32Array;
  kind: number | undefined;
  /** that the prompt is all or a beginning of */
  window: readonly number[];
}

/** Heads measured along continuations, as these are made. */
export class HeadsEvidence {
  /** [heads] by context and part */
  private readonly found: Map<string, PartEvidence>[];

  /** by context and part, the prompts that were gone along */
  private readonly prompts = new Map<string, Set<string>>();

  constructor(private readonly measured: readonly LocatedHeads[]) {
    this.found = measured.map(() => new Map());
  }

  /** Whether states where tokens were chosen are all that any of these heads looks at; of none: no. */
  get readsOnlyChosen(): boolean {
    return this.measured.length > 0 && this.measured.every(({ heads }) => heads.states === undefined);
  }

  /** Whether the prompt was gone along there. */
  has(at: number, part: HeadsContext["part"], prompt: readonly number[]): boolean {
    return this.prompts.get(`${part} ${at}`)?.has(prompt.join()) ?? false;
  }

  /** Whether a document has room for no more texts of so many tokens there. */
  isFull(at: number, part: HeadsContext["part"], tokens: number): boolean {
    return this.positions(at, part) + tokens > MAX_HEADS_POSITIONS;
  }

  /** Standard error of the tokens of a round there, as a share of them: that of the heads it is greatest for; null: unknown. */
  error(at: number, part: HeadsContext["part"]): number | null {
    const errors = this.measured.map((_, i) => this.part(i, at, part).error());
    return errors.reduce((a, b) => (a === null || b === null ? null : Math.max(a, b)), 0);
  }

  /** Takes a text that the target wrote elsewhere; for heads that look at nothing but the states where tokens were chosen. */
  async takeStated(at: number, part: HeadsContext["part"], text: StatedText, progress: Progress): Promise<void> {
    const hiddenSize = text.states.length / Math.max(1, text.ids.length);
    for (const [i, { heads }] of this.measured.entries()) {
      const ranks = await ranksOfStates(heads, { ...text, hiddenSize, first: text.prompt.length - 1 }, progress);
      this.part(i, at, part).add(ranks, { kind: text.kind, window: text.window.join() });
    }
    this.note(at, part, text.prompt);
  }

  private note(at: number, part: HeadsContext["part"], prompt: readonly number[]): void {
    const key = `${part} ${at}`;
    const known = this.prompts.get(key) ?? new Set();
    this.prompts.set(key, known.add(prompt.join()));
  }

  /**
   * Takes one more continuation, whose states the cache holds as after making it. Past what a document keeps it takes none,
   * and none a second time.
   */
  async take(
    engine: Engine,
    at: number,
    part: HeadsContext["part"],
    continuation: Continuation,
    progress: Progress,
  ): Promise<void> {
    if (this.has(at, part, continuation.prompt)) return;
    for (const [i, { heads }] of this.measured.entries()) {
      const evidence = this.part(i, at, part);
      if (evidence.positions + continuation.ids.length > MAX_HEADS_POSITIONS) continue;
      const ranks = await ranksAlong(engine, heads, continuation, progress);
      evidence.add(ranks, { kind: continuation.kind, window: continuation.prompt.join() });
    }
    this.note(at, part, continuation.prompt);
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
