/**
 * What rounds yield that follow one another along texts, where a lookup drafts at some positions and another drafter, or
 * nobody, at the others.
 *
 * A position of a text is where a round may begin: its token is pending. Of a lookup, and of a model whose every token was
 * compared with the text's, it is known how many tokens a round there would accept. Of a drafter of which only a curve is
 * known the number is drawn from that; then the expected number of rounds that begin at each position is followed, and all
 * counts are expectations. A round at the end of a text is cut short by it: it counts for the positions that it has.
 */

/** Chances [k] that a round here accepts k tokens, of at most as many as are left; they sum to 1. */
export type Accepting = readonly number[];

/** What a round at a position does: who drafts, and how much it accepts. */
export interface RoundAt {
  /** whether the lookup drafts */
  byLookup: boolean;
  /** tokens drafted at most; 0: a plain step */
  drafted: number;
  accepting: Accepting;
}

/** Rounds of one of the two. */
export interface CountedRounds {
  rounds: number;
  /** [d] rounds that came to position i: it was drafted, and all before it were accepted */
  reached: number[];
  /** [d] of these, rounds that accepted it too */
  kept: number[];
}

export interface TextRounds {
  lookup: CountedRounds;
  other: CountedRounds;
  /** [texts] rounds of both, and the tokens they yield: all of the text */
  byText: { rounds: number; tokens: number }[];
}

const nothing = (): CountedRounds => ({ rounds: 0, reached: [], kept: [] });

/**
 * @param lengths [texts] positions of each: tokens behind its first one
 * @param at      asked for positions 0 to length − 1 where a round may begin, with the expected number of those that do
 */
export function textRounds(
  lengths: readonly number[],
  at: (text: number, position: number, weight: number) => RoundAt,
): TextRounds {
  const found: TextRounds = { lookup: nothing(), other: nothing(), byText: [] };
  lengths.forEach((length, text) => {
    let rounds = 0;
    const begins = new Float64Array(length + 1); // expected rounds that begin at each position
    begins[0] = 1;
    for (let position = 0; position < length; position++) {
      const weight = begins[position];
      if (weight === 0) continue;
      rounds += weight;
      const { byLookup, drafted, accepting } = at(text, position, weight);
      const left = length - position;
      count(byLookup ? found.lookup : found.other, weight, Math.min(drafted, left), accepting);
      // the target's own token follows what was accepted
      accepting.forEach((chance, accepted) => {
        begins[Math.min(length, position + accepted + 1)] += weight * chance;
      });
    }
    found.byText.push({ rounds, tokens: length });
  });
  return found;
}

function count(rounds: CountedRounds, weight: number, drafted: number, accepting: Accepting): void {
  rounds.rounds += weight;
  let surviving = 1;
  for (let i = 0; i < drafted; i++) {
    rounds.reached[i] = (rounds.reached[i] ?? 0) + weight * surviving;
    surviving -= accepting[i] ?? 0;
    rounds.kept[i] = (rounds.kept[i] ?? 0) + weight * Math.max(0, surviving);
  }
}

/** Rounds that the pooled rate counts for at each position: few reach the far ones. */
const POOLED_ROUNDS = 8;

/** [d + 1] a_i of rounds of d tokens, each position's rate drawn towards the pooled one as far as few rounds showed it. */
export function curveOf({ reached, kept }: CountedRounds, d: number): number[] {
  const total = (counts: readonly number[]) => counts.slice(0, d).reduce((sum, n) => sum + n, 0);
  const pooled = total(reached) === 0 ? 0 : total(kept) / total(reached);
  const curve = [1];
  for (let i = 0; i < d; i++) {
    const rate = ((kept[i] ?? 0) + POOLED_ROUNDS * pooled) / ((reached[i] ?? 0) + POOLED_ROUNDS);
    curve.push(curve[i] * Math.min(1, rate));
  }
  return curve;
}

/** Accepts exactly so many. */
export const certainly = (accepted: number): Accepting => [...new Array<number>(accepted).fill(0), 1];

/** Of a curve a_i [d + 1] where so many tokens are left. */
export function acceptingBy(curve: readonly number[], left: number): Accepting {
  const most = Math.min(curve.length - 1, left);
  return Array.from({ length: most + 1 }, (_, k) => curve[k] - (k === most ? 0 : curve[k + 1]));
}
