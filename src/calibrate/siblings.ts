/**
 * How often the target's token is among the next likeliest of a draft's last step, where all before it were accepted: what
 * siblings of a draft's last token are worth (decode/drafters/self.ts).
 */
import { MAX_SIBLINGS } from "../schema/drafter.js";
import { significant } from "../stats/numbers.js";

/** Rounds that the share of all positions counts for at each one: few reach the far positions. */
const POOLED_ROUNDS = 8;

/** Rounds counted by the rank that the target's token has at the first place where it is not the draft's own. */
export class SiblingCounts {
  private readonly reached: number[];
  private readonly counts: number[][];

  /** @param d longest draft */
  constructor(d: number) {
    this.reached = new Array<number>(d).fill(0);
    this.counts = Array.from({ length: d }, () => new Array<number>(MAX_SIBLINGS).fill(0));
  }

  /** @param rank of the target's token behind the accepted ones, from 1; null: all were accepted, or it is not known */
  add(drafted: number, accepted: number, rank: number | null): void {
    for (let i = 0; i <= Math.min(accepted, drafted - 1); i++) this.reached[i]++;
    this.count(drafted, accepted, rank);
  }

  /** The same for the rounds of another length: only what their last token showed is taken. */
  addLast(drafted: number, accepted: number, rank: number | null): void {
    if (accepted < drafted - 1) return;
    this.reached[drafted - 1]++;
    this.count(drafted, accepted, rank);
  }

  private count(drafted: number, accepted: number, rank: number | null): void {
    if (rank !== null && rank >= 1 && rank <= MAX_SIBLINGS && accepted < drafted) this.counts[accepted][rank - 1]++;
  }

  /** [d][MAX_SIBLINGS] shares of the rounds that came to each position, drawn towards those of all; null: there were none */
  shares(): number[][] | null {
    const total = this.reached.reduce((sum, n) => sum + n, 0);
    if (total === 0) return null;
    const pooled = Array.from(
      { length: MAX_SIBLINGS },
      (_, r) => this.counts.reduce((sum, counts) => sum + counts[r], 0) / total,
    );
    return this.counts.map((counts, i) =>
      counts.map((count, r) => significant((count + POOLED_ROUNDS * pooled[r]) / (this.reached[i] + POOLED_ROUNDS), 6)),
    );
  }
}

/**
 * Of every length its own rounds, which follow one another along each text as those of acceptance curves do
 * (acceptance-curve.ts).
 * @param texts [texts][positions] rank of the target's token among the draft's; 0 is the draft's own
 * @param d     longest round
 */
export function siblingShares(texts: readonly (readonly number[])[], d: number): number[][] | null {
  const counts = new SiblingCounts(d);
  for (let k = 1; k <= d; k++)
    for (const ranks of texts)
      for (let from = 0; from + k <= ranks.length; ) {
        let accepted = 0;
        while (accepted < k && ranks[from + accepted] === 0) accepted++;
        counts.addLast(k, accepted, accepted === k ? null : ranks[from + accepted]);
        from += accepted + 1;
      }
  return counts.shares();
}
