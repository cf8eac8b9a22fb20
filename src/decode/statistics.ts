/** What a run of rounds says about acceptance. */
import type { Round } from "./loop.js";

/** What a round showed. `emitted` is accepted + 1 where it is left out; less where the output ended in the draft. */
export type AcceptanceRound = Pick<Round, "drafted" | "accepted"> & Partial<Pick<Round, "emitted">>;

export interface AcceptanceStatistics {
  drafted: number;
  accepted: number;
  /** rounds that drafted */
  speculative: number;
  /** accepted per token drafted up to and including the first rejection; null where nothing was drafted */
  acceptance: number | null;
  /** [d+1] a_i over rounds that drafted at least i tokens; null where nothing was drafted */
  curve: number[] | null;
  /** tokens a speculative round yields, bonus counted where it was emitted; null where nothing was drafted */
  acceptedLength: number | null;
}

/** Rounds cut short by the end of the output count with the positions before it, and without a bonus behind it. */
export function acceptanceOf(rounds: readonly AcceptanceRound[]): AcceptanceStatistics {
  const speculative = rounds.filter((round) => round.drafted > 0);
  const drafted = speculative.reduce((sum, round) => sum + round.drafted, 0);
  const accepted = speculative.reduce((sum, round) => sum + round.accepted, 0);
  if (speculative.length === 0)
    return { drafted, accepted, speculative: 0, acceptance: null, curve: null, acceptedLength: null };
  const emitted = speculative.reduce((sum, round) => sum + (round.emitted ?? round.accepted + 1), 0);
  const tried = speculative.reduce((sum, round) => sum + Math.min(round.drafted, round.accepted + 1), 0);
  return {
    drafted,
    accepted,
    speculative: speculative.length,
    acceptance: accepted / tried,
    curve: acceptanceCurve(speculative),
    acceptedLength: emitted / speculative.length,
  };
}

/**
 * a_i = product of the conditional acceptance of positions 1 to i, each over the rounds that reached it. With rounds
 * of one length this is the share of rounds whose first i tokens are accepted; shorter rounds, those that the output's
 * end cut short among them, count for the positions they have and say nothing of later ones.
 */
export function acceptanceCurve(rounds: readonly AcceptanceRound[]): number[] {
  const longest = rounds.reduce((most, round) => Math.max(most, round.drafted), 0);
  const curve = [1];
  for (let i = 1; i <= longest; i++) {
    const reached = rounds.filter((round) => round.drafted >= i && round.accepted >= i - 1);
    const kept = reached.filter((round) => round.accepted >= i);
    curve.push(reached.length === 0 ? 0 : curve[i - 1] * (kept.length / reached.length));
  }
  return curve;
}
