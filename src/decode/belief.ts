/**
 * How much harder than the calibration text the text at hand is to guess, learnt from the rounds of a generation.
 *
 * A drafted token at position i of a round is rejected, given that those before it were not, with hazard
 * h_i = −ln(a_i / a_{i−1}) on the calibration text. Text that is harder is harder for every draft, so here the hazard is
 * e^x · h_i with x = κ + δ: κ is shared by all drafts, δ is a draft's own. A round that accepts k of d has the likelihood
 *
 *     exp(−e^x (h_1 + … + h_k)) · (1 − exp(−e^x h_{k+1}))        the second factor only where k < d
 *
 * which depends on x alone: one curve of log-likelihood for each draft over a grid of x is all that has to be kept.
 * Evidence fades exponentially with the tokens emitted since, so that the belief follows a text that changes.
 */

/**
 * Tokens after which a round's evidence has faded to 1/e. Text that makes no sense is hard at first and then repeats itself:
 * with 400 a generation of 256 tokens stayed away from the plan for too long, and took up to 1.15 times as long as with it.
 */
const MEMORY_TOKENS = 200;
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
const COUNT = 29;
/** x, from 1/20 of the calibration's hazard to 55 times it */
const GRID: readonly number[] = Array.from({ length: COUNT }, (_, j) => LOWEST + STEP * j);
const FACTORS: readonly number[] = GRID.map(Math.exp);

export interface Curve {
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

/** What is known of one draft. */
interface Known {
  /** [D+1] h_1 + … + h_i */
  sums: readonly number[];
  hazards: readonly number[];
  /** [COUNT][COUNT] chance of x, given κ */
  spreading: readonly Float64Array[];
  /** [COUNT] log-likelihood over x */
  evidence: Float64Array;
  /** [COUNT] the same over κ, δ integrated out */
  shared: Float64Array;
  observed: boolean;
}

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

const know = ({ hazards, spread }: Curve): Known => {
  const sums = [0];
  for (const h of hazards) sums.push(sums[sums.length - 1] + h);
  return {
    sums,
    hazards,
    spreading: spreadingOf(spread),
    evidence: new Float64Array(COUNT),
    shared: new Float64Array(COUNT),
    observed: false,
  };
};

export class Belief {
  private drafts: Known[];
  /** [COUNT] over κ, from drafts that are no longer among these */
  private readonly past = new Float64Array(COUNT);

  constructor(curves: readonly Curve[]) {
    this.drafts = curves.map(know);
  }

  /** Other drafts from here on; what is known of the text stays. */
  replaceDrafts(curves: readonly Curve[]): void {
    for (const draft of this.drafts) addTo(this.past, draft.shared);
    this.drafts = curves.map(know);
  }

  /** A round of one draft; plain steps only fade what is known. */
  observe(round: { draft: number | null; drafted: number; accepted: number; emitted: number }): void {
    this.fade(round.emitted / (round.drafted === 0 ? PLAIN_MEMORY_TOKENS : MEMORY_TOKENS));
    if (round.draft === null || round.drafted === 0) return;
    const known = this.drafts[round.draft];
    const kept = known.sums[round.accepted];
    const rejected = round.accepted < round.drafted ? known.hazards[round.accepted] : null;
    for (let j = 0; j < COUNT; j++) {
      let log = -FACTORS[j] * kept;
      if (rejected !== null) log += Math.log(-Math.expm1(-FACTORS[j] * rejected));
      known.evidence[j] += TRIAL_WORTH * log;
    }
    known.observed = true;
  }

  private fade(memories: number): void {
    const left = Math.exp(-memories);
    for (let j = 0; j < COUNT; j++) this.past[j] *= left;
    for (const { observed, evidence } of this.drafts) {
      if (observed) for (let j = 0; j < COUNT; j++) evidence[j] *= left;
    }
  }

  /** [drafts][COUNT] posterior of each draft's own x. */
  weights(): Float64Array[] {
    const total = PRIOR_LOG.map((log, i) => log + this.past[i]);
    for (const draft of this.drafts) {
      if (!draft.observed) continue;
      draft.shared = shareOf(draft);
      addTo(total, draft.shared);
    }
    const everyone = exponentials(total);
    return this.drafts.map((draft) => {
      if (!draft.observed) return normalised(mix(everyone, draft.spreading));
      const others = exponentials(total.map((log, i) => log - draft.shared[i]));
      const own = exponentials(draft.evidence);
      return normalised(mix(others, draft.spreading).map((w, j) => w * own[j]));
    });
  }

  /** e^κ, its geometric mean: how many times the calibration's hazard the text has. */
  difficulty(): number {
    const total = PRIOR_LOG.map((log, i) => log + this.past[i]);
    for (const draft of this.drafts) if (draft.observed) addTo(total, shareOf(draft));
    return Math.exp(expectation(normalised(exponentials(total)), GRID));
  }
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

/** ln Σ_x P(x | κ) e^{evidence(x)} for each κ. */
function shareOf({ evidence, spreading }: Known): Float64Array {
  const likelihood = exponentials(evidence);
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

function addTo(sum: Float64Array, values: Float64Array): void {
  for (let j = 0; j < COUNT; j++) sum[j] += values[j];
}
