/**
 * What drafts that end by their confidence come to: how long they are and how much of them stands.
 *
 * The model: at position i of a round a token has confidence bin b with chance w_i(b), whatever came before, and then stands
 * with chance p(b), given that all before it do. The decoder knows the bins alone, takes them for chances v(b) of a plan's
 * scale, and goes on behind token k while V_k = Π v(b_i) is at least θ_k. So, over all runs of bins that a rule does not end,
 *
 *     share of rounds that draft i tokens    Σ Π_{j≤i} w_j(b_j)
 *     a_i, drafted and all of them accepted  Σ Π_{j≤i} w_j(b_j) · p(b_j)
 *
 * and a round yields 1 + Σ a_i. Runs of equal V_k go on alike, so sums over them are kept by V_k: with scales whose
 * logarithms lie on a grid (scale.ts) these are some hundreds, and not every run.
 */
import type { Stop } from "../../schema/stop/stop.js";

/** When to go on: [most − 1] least V_k; and how far at most. */
export interface StopRuleOf {
  most: number;
  goOnFrom: readonly number[];
}

/** What is known of a draft's confidence, by the bins of a scale. */
export interface Guesses {
  /** [positions][bins] w_i(b), each position's summing to 1 */
  shares: readonly (readonly number[])[];
  /** [bins] p(b) */
  acceptance: readonly number[];
  /** [bins] shares behind a token that was rejected; undefined: as before it */
  beyond?: readonly number[] | undefined;
}

export interface DraftedLengths {
  /** [most] share of rounds that draft 1, 2, … tokens */
  lengths: number[];
  /** [most + 1] share of rounds that draft i tokens and have them all accepted; a_0 = 1 */
  curve: number[];
}

/** Runs of bins that go on alike: the chance that a round is one of them, with all its tokens accepted or not. */
interface Alike {
  /** V_k */
  chance: number;
  standing: number;
  fallen: number;
}

/** Equal for chances that differ by rounding alone. */
export const chanceKey = (chance: number): number => Math.round(-1e7 * Math.log(chance));

/** @param values [bins] v(b), what the decoder takes the bins for */
export function draftedLengths(
  { most, goOnFrom }: StopRuleOf,
  values: readonly number[],
  { shares, acceptance, beyond }: Guesses,
): DraftedLengths {
  const lengths = new Array<number>(most).fill(0);
  const curve = [1];
  let going: Alike[] = [{ chance: 1, standing: 1, fallen: 0 }];
  for (let k = 1; k <= most; k++) {
    const found = new Map<number, Alike>();
    for (const before of going)
      for (const [bin, share] of shares[k - 1].entries()) {
        const chance = before.chance * values[bin];
        const key = chanceKey(chance);
        const alike = found.get(key) ?? { chance, standing: 0, fallen: 0 };
        alike.standing += before.standing * share * acceptance[bin];
        alike.fallen += before.standing * share * (1 - acceptance[bin]);
        alike.fallen += before.fallen * (beyond?.[bin] ?? share);
        found.set(key, alike);
      }
    const all = [...found.values()];
    curve.push(all.reduce((sum, { standing }) => sum + standing, 0));
    going = k === most ? [] : all.filter(({ chance }) => chance >= goOnFrom[k - 1]);
    const share = (of: readonly Alike[]) => of.reduce((sum, { standing, fallen }) => sum + standing + fallen, 0);
    lengths[k - 1] = share(all) - share(going);
  }
  return { lengths, curve };
}

/** What one round costs, µs. */
export interface RoundCosts {
  /** of one drafted token, its confidence read */
  tokenUs: number;
  /** of the verification of so many drafted tokens, and the pending one */
  verifyUs(draftTokens: number): number;
  /** what the loop adds */
  roundUs: number;
  /** that every emitted token bears besides; default: 0 */
  perTokenUs?: number;
}

/** µs of a round in the mean. */
export const meanRoundUs = ({ lengths }: DraftedLengths, { tokenUs, verifyUs, roundUs }: RoundCosts): number =>
  roundUs +
  lengths.reduce((sum, share, i) => (share === 0 ? sum : sum + share * ((i + 1) * tokenUs + verifyUs(i + 1))), 0);

/** Tokens of a round in the mean, bonus counted. */
export const meanTokens = ({ curve }: DraftedLengths): number => curve.reduce((sum, a) => sum + a, 0);

/** Tokens per second: the quotient of the means, as of rounds of one length. */
export function earlySpeed(drafted: DraftedLengths, costs: RoundCosts): number {
  const tokens = meanTokens(drafted);
  return (1e6 * tokens) / (meanRoundUs(drafted, costs) + tokens * (costs.perTokenUs ?? 0));
}

export const ruleOf = ({ draft_tokens, go_on_from }: Pick<Stop, "draft_tokens" | "go_on_from">): StopRuleOf => ({
  most: draft_tokens,
  goOnFrom: go_on_from,
});
