/** From a calibrated table to what a plan's decoder reads, and to what is expected at every position of a round. */
import type { ConfidenceScale, ConfidenceTable } from "../../schema/stop/confidence.js";
import { acceptanceAt } from "../../schema/stop/confidence.js";
import { sum } from "../../stats/numbers.js";
import type { Guesses } from "./lengths.js";

/** Values lie this far apart in the logarithm, or a multiple of it: so do their products, of which there are then few. */
const STEP = 0.01;
/** Of the greatest distance from 1: less than e^-8 = 0.0003 is no chance. */
const MOST_STEPS = 800;

/** The table as a plan has it: rounded by half a percent at most, and bins of equal acceptance joined. */
export function scaleOf(table: ConfidenceTable): ConfidenceScale {
  const scale: ConfidenceScale = [];
  for (const { below, acceptance } of table) {
    const steps = acceptance === 0 ? MOST_STEPS : Math.min(MOST_STEPS, Math.round(-Math.log(acceptance) / STEP));
    const value = Number(Math.exp(-steps * STEP).toPrecision(6));
    const last = scale.at(-1);
    if (last?.acceptance === value) last.below = below;
    else scale.push({ below, acceptance: value });
  }
  return scale;
}

/**
 * What is expected of a draft, by the bins of a scale. The table tells how often each confidence comes along all accepted
 * text. Rounds come to far positions where text is easy, so there it comes otherwise, and the acceptance curve says how:
 * each position's shares are the table's, tilted by e^(λ p(b)) until their mean acceptance is the curve's own there.
 * Without a rule the curve is then found again, so that early and fixed are compared by the same evidence.
 * @param curve [positions + 1] acceptance at every length; positions beyond it are as its last one
 */
export function guessesOf(
  scale: ConfidenceScale,
  table: ConfidenceTable,
  curve: readonly number[],
  positions: number,
): Guesses {
  const counted = scale.map(() => ({ positions: 0, accepted: 0, beyond: 0 }));
  for (const [i, bin] of table.entries()) {
    // bins of a table made on other text may be cut otherwise: what lies in them is counted where their lower end lies
    const into = counted[scale.indexOf(acceptanceAt(scale, table[i - 1]?.below ?? 0))];
    into.positions += bin.positions;
    into.accepted += bin.acceptance * bin.positions;
    into.beyond += bin.beyond ?? 0;
  }
  const all = sum(counted.map((bin) => bin.positions));
  const shares = counted.map((bin) => bin.positions / all);
  const acceptance = counted.map((bin, b) =>
    bin.positions === 0 ? scale[b].acceptance : bin.accepted / bin.positions,
  );
  const behind = sum(counted.map(({ beyond }) => beyond));
  const rates = Array.from({ length: positions }, (_, i) => {
    const at = Math.min(i + 1, curve.length - 1);
    return curve[at - 1] === 0 ? 0 : curve[at] / curve[at - 1];
  });
  return {
    shares: rates.map((rate) => tilted(shares, acceptance, rate)),
    acceptance,
    beyond: behind === 0 ? undefined : counted.map(({ beyond }) => beyond / behind),
  };
}

const LARGEST = 2 ** 20;
const HALVINGS = 80;

/** Shares · e^(λ acceptance), summing to 1, whose mean acceptance is `mean`; the nearest that can be where none is. */
export function tilted(shares: readonly number[], acceptance: readonly number[], mean: number): number[] {
  const at = (tilt: number): number[] => {
    const present = acceptance.filter((_, b) => shares[b] > 0);
    const highest = tilt > 0 ? Math.max(...present) : Math.min(...present);
    const raw = shares.map((share, b) => (share === 0 ? 0 : share * Math.exp(tilt * (acceptance[b] - highest))));
    const total = sum(raw);
    return raw.map((share) => share / total);
  };
  const meanOf = (tilt: number) => sum(at(tilt).map((share, b) => share * acceptance[b]));
  let [low, high] = [-LARGEST, LARGEST];
  if (meanOf(low) >= mean) return at(low);
  if (meanOf(high) <= mean) return at(high);
  for (let i = 0; i < HALVINGS; i++) {
    const between = (low + high) / 2;
    if (meanOf(between) < mean) low = between;
    else high = between;
  }
  return at((low + high) / 2);
}
