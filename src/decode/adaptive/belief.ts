/**
 * How much harder than the calibration text the text at hand is to guess, learnt from the rounds of a generation.
 *
 * A drafted token at position i of a round is rejected, given that those before it were not, with hazard
 * h_i = −ln(a_i / a_{i−1}) on the calibration text. Text that is harder is harder for every draft, so here the hazard is
 * e^x · h_i with x = κ + δ: κ is shared by all drafts, δ is a draft's own. A round that accepts k of d has the likelihood
 *
 *     exp(−e^x (h_1 + … + h_k)) · (1 − exp(−e^x h_{k+1}))        the second factor only where k < d
 *
 * which depends on x alone: one curve of log-likelihood for each draft over a grid of x is all that has to be kept, and
 * all that is kept: whatever follows from it is computed when it is asked for. Evidence fades exponentially with the
 * tokens emitted since, so that the belief follows a text that changes.
 *
 * The belief is about the text. Ranges of contexts, and which drafts are to choose from in them, are none of its business:
 * x is relative to the calibration's hazards at the context of the round, so evidence from one context tells about
 * another, of the same draft by way of its key, of others by way of κ.
 */

/**
 * Tokens after which a round's evidence has faded to 1/e. Text that makes no sense is hard at first and then repeats itself:
 * with 400 a generation of 256 tokens stayed away from the plan for too long, and took up to 1.15 times as long as with it.
 */
export const MEMORY_TOKENS = 200;
/** The same where nothing is drafted: then nothing tells whether the text has become easier, so it is tried again sooner. */
const PLAIN_MEMORY_TOKENS = 100;
/** Rejections come in clusters, so a trial is worth less than an independent one. */
const TRIAL_WORTH = 0.7;
/** Most texts are like the calibration's; some are not at all. */
const PRIOR = [
  { share: 0.95, mean: 0, spread: 0.2 },
  { share: 0.05, mean: 0.4, spread: 1.2 },
];

const LOWEST = -3;
const STEP = 0.25;
export const COUNT = 29;
/** x, from 1/20 of the calibration's hazard to 55 times it */
const GRID: readonly number[] = Array.from({ length: COUNT }, (_, j) => LOWEST + STEP * j);
const FACTORS: readonly number[] = GRID.map(Math.exp);

/** A draft's acceptance on the calibration text, at some context. */
export interface Curve {
  /** of the draft: equal at every context */
  key: string;
  /** [D] h_i > 0 on the calibration text */
  hazards: readonly number[];
  /** standard deviation of δ */
  spread: number;
}

const normal = (x: number, mean: number, spread: number): number =>
  Math.exp(-0.5 * ((x - mean) / spread) ** 2) / spread;

function normalised(weights: Float64Array): Float64Array {
  const sum = weights.reduce((total, w) => total + w, 0);
  return weights.map((w) => w / sum);
}

const PRIOR_WEIGHTS = normalised(
  Float64Array.from(GRID, (x) =>
    PRIOR.reduce((sum, { share, mean, spread }) => sum + share * normal(x, mean, spread), 0),
  ),
);
const PRIOR_LOG = PRIOR_WEIGHTS.map(Math.log);

/** What the rounds of one draft showed. */
interface Evidence {
  /** [COUNT] log-likelihood over x */
  log: Float64Array;
  /** [COUNT][COUNT] chance of x, given κ, by the spread of its latest round */
  spreading: readonly Float64Array[];
  /** rounds behind it, faded as the evidence is */
  rounds: number;
}

/** Evidence of fewer rounds, faded, is forgotten: what a round says changes a logarithm by some tens at most. */
const FORGOTTEN_ROUNDS = 1e-6;

const spreadings = new Map<number, readonly Float64Array[]>();

/** [COUNT][COUNT] chance of x, given κ. Spreads are told apart to a twentieth: few matrices serve all drafts. */
function spreadingOf(spread: number): readonly Float64Array[] {
  const twentieths = Math.max(1, Math.round(20 * spread));
  let rows = spreadings.get(twentieths);
  if (rows === undefined) {
    rows = GRID.map((kappa) => normalised(Float64Array.from(GRID, (x) => normal(x, kappa, twentieths / 20))));
    spreadings.set(twentieths, rows);
  }
  return rows;
}

export class Belief {
  private readonly drafts = new Map<string, Evidence>();

  /** A round of a draft; plain steps, with no draft, only fade what is known. */
  observe(draft: Curve | null, round: { drafted: number; accepted: number; emitted: number }): void {
    this.fade(round.emitted / (round.drafted === 0 ? PLAIN_MEMORY_TOKENS : MEMORY_TOKENS));
    if (draft === null || round.drafted === 0) return;
    const { hazards, key, spread } = draft;
    const { log, rounds } = this.drafts.get(key) ?? { log: new Float64Array(COUNT), rounds: 0 };
    const kept = hazards.slice(0, round.accepted).reduce((sum, h) => sum + h, 0);
    const rejected = round.accepted < round.drafted ? hazards[round.accepted] : null;
    for (let j = 0; j < COUNT; j++) {
      const chance = rejected === null ? 0 : Math.log(-Math.expm1(-FACTORS[j] * rejected));
      log[j] += TRIAL_WORTH * (chance - FACTORS[j] * kept);
    }
    this.drafts.set(key, { log, spreading: spreadingOf(spread), rounds: rounds + 1 });
  }

  private fade(memories: number): void {
    const left = Math.exp(-memories);
    for (const [key, evidence] of this.drafts) {
      for (let j = 0; j < COUNT; j++) evidence.log[j] *= left;
      evidence.rounds *= left;
      if (evidence.rounds < FORGOTTEN_ROUNDS) this.drafts.delete(key);
    }
  }

  /** @returns [curves][COUNT] posterior of each draft's own x, whether it was ever run or not */
  weights(curves: readonly Curve[]): Float64Array[] {
    const shares = this.shares();
    const total = totalOf(shares);
    const everyone = exponentials(total);
    return curves.map(({ key, spread }) => {
      const own = this.drafts.get(key);
      const share = shares.get(key);
      if (own === undefined || share === undefined) return normalised(mix(everyone, spreadingOf(spread)));
      const others = exponentials(total.map((log, i) => log - share[i]));
      const likelihood = exponentials(own.log);
      return normalised(mix(others, own.spreading).map((w, j) => w * likelihood[j]));
    });
  }

  /** e^κ, its geometric mean: how many times the calibration's hazard the text has. */
  difficulty(): number {
    return Math.exp(expectation(normalised(exponentials(totalOf(this.shares()))), GRID));
  }

  /** What each draft's rounds say about κ, its δ integrated out: [COUNT] log-likelihoods. */
  private shares(): Map<string, Float64Array> {
    return new Map([...this.drafts].map(([key, evidence]) => [key, shareOf(evidence)]));
  }
}

/** [COUNT] logarithm of the posterior of κ, but for a constant. */
function totalOf(shares: ReadonlyMap<string, Float64Array>): Float64Array {
  const total = PRIOR_LOG.slice();
  for (const share of shares.values()) for (let j = 0; j < COUNT; j++) total[j] += share[j];
  return total;
}

/** [D][COUNT] 1 / (expected tokens of a round of i + 1 drafted tokens) at each x, bonus counted. */
export function roundsPerToken(hazards: readonly number[]): Float64Array[] {
  const tokens = new Float64Array(COUNT).fill(1);
  const survival = new Float64Array(COUNT).fill(1);
  return hazards.map((h) => {
    const inverse = new Float64Array(COUNT);
    for (let j = 0; j < COUNT; j++) {
      survival[j] *= Math.exp(-FACTORS[j] * h);
      tokens[j] += survival[j];
      inverse[j] = 1 / tokens[j];
    }
    return inverse;
  });
}

/** [COUNT] what is believed of a draft's x before anything was observed. */
export const priorWeights = (spread: number): Float64Array => normalised(mix(PRIOR_WEIGHTS, spreadingOf(spread)));

export function expectation(weights: Float64Array, values: ArrayLike<number>): number {
  let sum = 0;
  for (let j = 0; j < COUNT; j++) sum += weights[j] * values[j];
  return sum;
}

/** ln Σ_x P(x | κ) e^{log(x)} for each κ. */
function shareOf({ log, spreading }: Evidence): Float64Array {
  const likelihood = exponentials(log);
  return Float64Array.from(spreading, (row) => Math.log(expectation(row, likelihood) + Number.MIN_VALUE));
}

/** e^log, scaled so that the greatest is 1. */
function exponentials(log: Float64Array): Float64Array {
  const most = log.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return log.map((value) => Math.exp(value - most));
}

/** Σ_κ weight(κ) · P(x | κ) */
function mix(weights: Float64Array, spreading: readonly Float64Array[]): Float64Array {
  const sum = new Float64Array(COUNT);
  for (let i = 0; i < COUNT; i++) {
    const row = spreading[i];
    const weight = weights[i];
    if (weight > 1e-12) for (let j = 0; j < COUNT; j++) sum[j] += weight * row[j];
  }
  return sum;
}
