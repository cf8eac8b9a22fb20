/**
 * How often a draft is right when it is so and so sure. Confidence itself is no chance of acceptance: what is compared is two
 * models, and both are sure where text is easy. So positions are counted by confidence, and accepted shares are read off them.
 */
import type { ConfidenceTable } from "../schema/stop/confidence.js";
import { significant } from "../stats/numbers.js";

/**
 * Ends of the bins. Narrow near 1, where most positions of a good draft lie and where a small difference, over several tokens,
 * decides whether a draft goes on.
 */
export const CONFIDENCE_ENDS = [0.55, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995, 1] as const;

/**
 * Misses that a rate is taken to have beyond those seen (Jeffreys' prior for a rate). A good draft's surest tokens have often
 * not missed at all: SmolLM2 and the embedded model in int8 miss where they are least sure, and nowhere else.
 */
const UNSEEN_MISSES = 0.5;

const binOf = (confidence: number): number => {
  const found = CONFIDENCE_ENDS.findIndex((end) => confidence < end);
  return found === -1 ? CONFIDENCE_ENDS.length - 1 : found;
};

const zeros = (): number[] => CONFIDENCE_ENDS.map(() => 0);

/** Positions counted by confidence. */
export class ConfidenceCounts {
  private readonly positions = zeros();
  private readonly accepted = zeros();
  private readonly beyond = zeros();
  /** whether anything behind rejected tokens was looked at */
  private drafted = false;

  /** @param accepted 1 or 0; of sampled text the chance of acceptance */
  add(confidence: number, accepted: number): void {
    const bin = binOf(confidence);
    this.positions[bin] += 1;
    this.accepted[bin] += accepted;
  }

  /**
   * One round of real drafting.
   * @param confidences of its drafted tokens
   * @param drafted     how many of them were put to the test: fewer where the output ended in the draft
   * @param accepted    of these, how many stood
   */
  addRound(confidences: readonly number[], drafted: number, accepted: number): void {
    this.drafted = true;
    for (const [i, confidence] of confidences.entries()) {
      if (i >= drafted) break;
      if (i <= accepted) this.add(confidence, i < accepted ? 1 : 0);
      else this.beyond[binOf(confidence)] += 1;
    }
  }

  take(other: ConfidenceCounts): void {
    for (const key of ["positions", "accepted", "beyond"] as const)
      other[key].forEach((count, bin) => {
        this[key][bin] += count;
      });
    this.drafted ||= other.drafted;
  }

  /**
   * Bins without a position are joined to the one below, whose acceptance is the lower; those below all others to the first.
   * @returns null where nothing was counted
   */
  table(): ConfidenceTable | null {
    const bins: { below: number; positions: number; accepted: number; beyond: number }[] = [];
    let waiting = 0;
    for (const [bin, below] of CONFIDENCE_ENDS.entries()) {
      const [positions, accepted, beyond] = [this.positions[bin], this.accepted[bin], this.beyond[bin]];
      const last = bins.at(-1);
      if (positions > 0) {
        bins.push({ below, positions, accepted, beyond: beyond + waiting });
        waiting = 0;
      } else if (last === undefined) waiting += beyond;
      else {
        last.below = below;
        last.beyond += beyond;
      }
    }
    if (bins.length === 0) return null;
    const rates = risingRates(bins);
    return bins.map(({ below, positions, accepted, beyond }, i) => ({
      ...{ below, positions, accepted: significant(accepted, 6), acceptance: significant(rates[i], 6) },
      ...(this.drafted ? { beyond } : {}),
    }));
  }
}

/** The counts as a record has them; nothing where there are none. */
export function tableOf(counts: ConfidenceCounts): { confidence?: ConfidenceTable } {
  const confidence = counts.table();
  return confidence === null ? {} : { confidence };
}

interface Pooled {
  positions: number;
  accepted: number;
  bins: number;
}

const rateOf = ({ positions, accepted }: Pooled): number => accepted / (positions + UNSEEN_MISSES);

/**
 * Accepted shares that never fall: neighbours that do are pooled (Ayer et al. 1955), and what is pooled has the misses not
 * seen once and not for each bin, or small bins would look worse than the large ones below them for being small.
 */
function risingRates(bins: readonly { positions: number; accepted: number }[]): number[] {
  const pools: Pooled[] = [];
  for (const { positions, accepted } of bins) {
    let pool: Pooled = { positions, accepted, bins: 1 };
    for (let last = pools.at(-1); last !== undefined && rateOf(last) >= rateOf(pool); last = pools.at(-1)) {
      pools.pop();
      pool = {
        positions: last.positions + pool.positions,
        accepted: last.accepted + pool.accepted,
        bins: last.bins + pool.bins,
      };
    }
    pools.push(pool);
  }
  return pools.flatMap((pool) => new Array<number>(pool.bins).fill(rateOf(pool)));
}
