/**
 * The rule of most tokens per time among all that look at the chance V_k that a draft's tokens stand.
 *
 * Tokens per time is a quotient of means, so the best rule is the one that is best at a price (Dinkelbach 1967): with ρ tokens
 * a µs, the greatest there are, going on is worth while its tokens are worth more than ρ times its time. For a given ρ,
 *
 *     J_k(V) = max( −ρ · verify(k),  V · Σ_b w_{k+1}(b) v(b) − ρ · token + Σ_b w_{k+1}(b) J_{k+1}(V v(b)) )
 *
 * from the longest draft backwards (optimal stopping). The first is the same for every V and the second rises with V, so where
 * to go on is a threshold θ_k. Where a further row of verification always costs the same and shares do not change with the
 * position, it is θ = ρ · (token + row) / α, a rule that looks one step ahead; verification's steps make it more than that.
 * ρ is then what the rule found reaches, and so on until it is the same.
 */
import {
  chanceKey,
  type DraftedLengths,
  draftedLengths,
  earlySpeed,
  type Guesses,
  type RoundCosts,
  type StopRuleOf,
} from "./lengths.js";

export interface BestRule {
  rule: StopRuleOf;
  drafted: DraftedLengths;
  tokensPerSecond: number;
}

/** Dinkelbach's steps converge faster than geometrically; each is an improvement or the last. */
const MOST_STEPS = 50;

/**
 * @param values [bins] what the decoder takes the bins for
 * @param most   longest draft
 */
export function bestRule(values: readonly number[], guesses: Guesses, costs: RoundCosts, most: number): BestRule {
  let best = reached({ most: 1, goOnFrom: [] }, values, guesses, costs);
  for (let step = 0; step < MOST_STEPS; step++) {
    const next = reached(ruleAt(best.tokensPerSecond / 1e6, values, guesses, costs, most), values, guesses, costs);
    if (next.tokensPerSecond <= best.tokensPerSecond) break;
    best = next;
  }
  return best;
}

function reached(rule: StopRuleOf, values: readonly number[], guesses: Guesses, costs: RoundCosts): BestRule {
  const drafted = draftedLengths(rule, values, guesses);
  return { rule, drafted, tokensPerSecond: earlySpeed(drafted, costs) };
}

/** What is looked at behind k tokens: each V_k that may be met, and whether to go on there. */
type Decisions = Map<number, { chance: number; goesOn: boolean; worth: number }>;

/** The best rule where a µs is worth `price` tokens. */
function ruleAt(
  price: number,
  values: readonly number[],
  { shares }: Guesses,
  { tokenUs, verifyUs, perTokenUs = 0 }: RoundCosts,
  most: number,
): StopRuleOf {
  // a token bears a part of its own time: that much of its worth is gone
  const worthOfToken = 1 - price * perTokenUs;
  const decisions: Decisions[] = Array.from({ length: most }, () => new Map());
  const verified = Array.from({ length: most + 1 }, (_, k) => (k === 0 ? 0 : price * verifyUs(k)));
  const cheapest = verified.map((_, k) => Math.min(...verified.slice(k)));
  const highest = Math.max(...values);
  const worthAt = (k: number, chance: number): number => {
    const stopping = -verified[k];
    if (k === most) return stopping;
    const known = decisions[k].get(chanceKey(chance));
    if (known !== undefined) return known.worth;
    let going = Number.NEGATIVE_INFINITY;
    if (couldPay(k, chance)) {
      going = -price * tokenUs;
      for (const [bin, share] of shares[k].entries())
        if (share > 0) going += share * (worthOfToken * chance * values[bin] + worthAt(k + 1, chance * values[bin]));
    }
    const goesOn = going > stopping;
    const worth = goesOn ? going : stopping;
    decisions[k].set(chanceKey(chance), { chance, goesOn, worth });
    return worth;
  };
  /** Whether the best that may follow would pay: without this, runs that nobody would go on with are looked at too. */
  const couldPay = (k: number, chance: number): boolean => {
    let tokens = 0;
    for (let j = k + 1, standing = chance * highest; j <= most; j++, standing *= highest) tokens += standing;
    return worthOfToken * tokens - price * tokenUs - cheapest[k + 1] > -verified[k];
  };
  for (const value of values) worthAt(1, value);
  const goOnFrom: number[] = [];
  for (let k = 1; k < most; k++) {
    const from = threshold(decisions[k]);
    if (from === null) return { most: k, goOnFrom };
    goOnFrom.push(from);
  }
  return { most, goOnFrom };
}

/** Between the greatest chance that ends a draft and the least that goes on; null where none goes on. */
function threshold(decisions: Decisions): number | null {
  const all = [...decisions.values()];
  const on = all.filter(({ goesOn }) => goesOn).map(({ chance }) => chance);
  if (on.length === 0) return null;
  const least = Math.min(...on);
  const ended = all.filter(({ goesOn, chance }) => !goesOn && chance < least).map(({ chance }) => chance);
  if (ended.length === 0) return 0;
  return Number(Math.sqrt(least * Math.max(...ended)).toPrecision(6));
}
