/** Drafts that losses are measured with, and what each showed. */
import type { BlockKind, Choice, ChoiceSet } from "../schema/choice.js";

/** A draft that differs from the target in `members` only. */
export interface LossProbe {
  choice: Choice;
  kind: BlockKind | "head";
  /** layers it covers; empty for the head */
  layers: number[];
  choices: ChoiceSet;
}

/** Hits and overlaps of one probe over all positions it was measured on. */
export class Tally {
  positions = 0;
  hits = 0;
  private sum = 0;
  private squares = 0;

  add(hits: readonly boolean[], overlaps: readonly number[]): void {
    hits.forEach((hit, i) => {
      this.positions++;
      if (hit) this.hits++;
      this.sum += overlaps[i];
      this.squares += overlaps[i] ** 2;
    });
  }

  copy(): Tally {
    return Object.assign(new Tally(), this);
  }

  get hitRate(): number {
    return this.hits / this.positions;
  }
  get meanOverlap(): number {
    return this.sum / this.positions;
  }
  /** −ln of the mean overlap; its standard error by the delta method */
  get loss(): { loss: number; standardError: number } {
    const mean = Math.max(this.meanOverlap, 1e-6);
    const variance = Math.max(0, this.squares / this.positions - mean ** 2);
    return { loss: Math.max(0, -Math.log(mean)), standardError: Math.sqrt(variance / this.positions) / mean };
  }
  /** −ln of the hit rate, and its standard error likewise */
  get hitLoss(): { loss: number; standardError: number } {
    const rate = Math.max(this.hits, 0.5) / this.positions;
    return { loss: -Math.log(rate), standardError: Math.sqrt((1 - rate) / (rate * this.positions)) };
  }
}

/** Probes and what they showed, in the same order. */
export interface Probed {
  probes: readonly LossProbe[];
  tallies: readonly Tally[];
}
