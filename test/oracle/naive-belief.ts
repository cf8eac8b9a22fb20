/**
 * The belief of src/decode/adaptive/belief.ts from its description alone: every round is kept, and everything is summed
 * again for every question. Imports nothing from src.
 */
export interface NaiveCurve {
  key: string;
  hazards: readonly number[];
  spread: number;
}

interface NaiveRound {
  draft: NaiveCurve | null;
  drafted: number;
  accepted: number;
  emitted: number;
}

const GRID = Array.from({ length: 29 }, (_, i) => -3 + i / 4);
const density = (x: number, mean: number, spread: number) => Math.exp(-((x - mean) ** 2) / (2 * spread ** 2)) / spread;
const prior = (x: number) => 0.95 * density(x, 0, 0.2) + 0.05 * density(x, 0.4, 1.2);
/** chance of every x of the grid, given κ */
const around = (kappa: number, spread: number): number[] => {
  const values = GRID.map((x) => density(x, kappa, Math.max(1, Math.round(20 * spread)) / 20));
  return values.map((value) => value / values.reduce((a, b) => a + b, 0));
};

/** of a round that accepted k of d, given x */
function likelihood({ draft, drafted, accepted }: NaiveRound, x: number): number {
  const hazards = (draft as NaiveCurve).hazards.map((h) => Math.exp(x) * h);
  let chance = 1;
  for (let i = 0; i < accepted; i++) chance *= Math.exp(-hazards[i]);
  return accepted < drafted ? chance * (1 - Math.exp(-hazards[accepted])) : chance;
}

/** [GRID] of one draft's x, and the share of its rounds that has not faded */
function evidenceOf(rounds: readonly NaiveRound[], key: string, x: number): number {
  let log = 0;
  rounds.forEach((round, i) => {
    if (round.draft?.key !== key || round.drafted === 0) return;
    const later = rounds.slice(i + 1);
    const age = later.reduce((sum, { drafted, emitted }) => sum + emitted / (drafted === 0 ? 100 : 200), 0);
    log += 0.7 * Math.exp(-age) * Math.log(likelihood(round, x));
  });
  return Math.exp(log);
}

/** P(κ | rounds), not normalised, over the grid; with one draft's rounds left out if asked */
function overKappa(rounds: readonly NaiveRound[], without?: string): number[] {
  const latest = new Map(rounds.flatMap(({ draft }) => (draft === null ? [] : [[draft.key, draft] as const])));
  return GRID.map((kappa) => {
    let chance = prior(kappa);
    for (const [key, { spread }] of latest) {
      if (key === without) continue;
      const given = around(kappa, spread);
      chance *= GRID.reduce((sum, x, j) => sum + given[j] * evidenceOf(rounds, key, x), 0);
    }
    return chance;
  });
}

const normalised = (values: readonly number[]) => values.map((value) => value / values.reduce((a, b) => a + b, 0));

export function naiveDifficulty(rounds: readonly NaiveRound[]): number {
  return Math.exp(normalised(overKappa(rounds)).reduce((sum, weight, i) => sum + weight * GRID[i], 0));
}

/** [GRID] posterior of one draft's x */
export function naiveWeights(rounds: readonly NaiveRound[], curve: NaiveCurve): number[] {
  const kappa = overKappa(rounds, curve.key);
  const given = GRID.map((value) => around(value, curve.spread));
  return normalised(
    GRID.map(
      (x, j) => evidenceOf(rounds, curve.key, x) * kappa.reduce((sum, chance, i) => sum + chance * given[i][j], 0),
    ),
  );
}
