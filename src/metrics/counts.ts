/**
 * What an engine counted of speculative decoding, in one vocabulary. Engines differ in what they divide by what, so counts are
 * taken wherever there are some, and docs/engines.md says which formula each engine's own figure is.
 */
import { LEAST_UNITS, ratioInterval } from "../stats/interval.js";
import { sum } from "../stats/numbers.js";

/** Of one part of the whole, such as a request: parts are independent of each other, rounds within one are not. */
export interface PartCounts {
  /** rounds in which something was drafted */
  rounds: number;
  accepted: number;
}

export interface EngineCounts {
  /** as `export --to` has it */
  engine: string;
  /** what the file is, for people */
  form: string;
  /** rounds in which something was drafted, and where `everyRound` says so all others too; null: not told */
  rounds: number | null;
  everyRound: boolean;
  /** answers, whose last rounds draft no more than there is left to say; null: not told */
  requests: number | null;
  /** tokens drafted, those behind a rejection too */
  drafted: number | null;
  /** tokens drafted up to and including a round's first rejection */
  evaluated: number | null;
  accepted: number | null;
  /** [d] rounds whose first i + 1 tokens were all accepted */
  acceptedAt: readonly number[] | null;
  /** [d] rounds that drafted i + 1 tokens, the first i of them accepted: rounds cut short by an answer's end are not among them */
  evaluatedAt: readonly number[] | null;
  /** by request, where the engine tells */
  parts: readonly PartCounts[] | null;
  /** the engine's own means, where it tells no counts: tokens a round, and accepted over drafted */
  means: { acceptedLength: number | null; acceptedShare: number | null };
  /** emitted, by whatever clock the engine has */
  tokensPerSecond: number | null;
}

export const NO_COUNTS = {
  ...{ rounds: null, everyRound: false, requests: null, drafted: null, evaluated: null, accepted: null },
  ...{ acceptedAt: null, evaluatedAt: null, parts: null },
  ...{ means: { acceptedLength: null, acceptedShare: null }, tokensPerSecond: null },
} satisfies Partial<EngineCounts>;

/** A figure with its 95 % interval; null where too little is known of its spread. */
export interface Measured {
  value: number;
  interval: readonly [number, number] | null;
}

export interface EngineFigures {
  /** 1 + accepted / rounds */
  acceptedLength: Measured | null;
  /** accepted / drafted */
  acceptedShare: Measured | null;
  /** accepted / evaluated: draftplan's acceptance rate */
  acceptance: number | null;
  /** [d+1] a_i */
  curve: number[] | null;
  /** drafted / rounds */
  draftTokens: number | null;
  tokensPerSecond: number | null;
}

/** With fewer, the normal law is no fair account of a mean. */
const LEAST_ROUNDS = 30;
const Z95 = 1.96;

export function figuresOf(counts: EngineCounts): EngineFigures {
  const { rounds, drafted, accepted, means, tokensPerSecond } = counts;
  const perRound = rounds !== null && rounds > 0 ? rounds : null;
  const curve = curveOf(counts);
  const draftTokens = perRound === null || drafted === null ? null : drafted / perRound;
  const length = perRound === null || accepted === null ? null : 1 + accepted / perRound;
  const byParts = length === null ? null : partsInterval(counts);
  const half = length === null || byParts !== null ? null : halfWidth(counts, length - 1, draftTokens);
  const share = drafted === null || drafted === 0 || accepted === null ? null : accepted / drafted;
  const evaluated = counts.evaluated ?? evaluatedOf(counts);
  return {
    acceptedLength:
      length === null
        ? meanAlone(means.acceptedLength)
        : { value: length, interval: byParts ?? around(length, half).interval },
    acceptedShare:
      share === null
        ? meanAlone(means.acceptedShare)
        : around(share, half === null || draftTokens === null ? null : half / draftTokens),
    acceptance: evaluated === null || evaluated === 0 || accepted === null ? null : accepted / evaluated,
    ...{ curve, draftTokens, tokensPerSecond },
  };
}

/** As a plan has it, of whole rounds: by position over the rounds that came to it, where the engine tells them. */
function curveOf({ rounds, acceptedAt, evaluatedAt }: EngineCounts): number[] | null {
  if (rounds === null || rounds === 0 || acceptedAt === null) return null;
  const curve = [1];
  acceptedAt.forEach((count, i) => {
    const reached = evaluatedAt?.[i];
    if (reached === undefined) curve.push(count / rounds);
    else curve.push(reached === 0 ? 0 : (curve[i] * count) / reached);
  });
  return curve;
}

/**
 * Tokens that the last rounds of answers may have drafted fewer than d: a round drafts at most one less than is left to say,
 * so at worst d − 1, d − 2, … 1 tokens one after the other, and then none, which is a round where all are counted.
 */
export const missingAtEnds = ({ requests, everyRound }: EngineCounts, draftTokens: number): number =>
  ((requests ?? 0) * draftTokens * (draftTokens + (everyRound ? 1 : -1))) / 2;

const around = (value: number, half: number | null): Measured => ({
  value,
  interval: half === null ? null : [value - half, value + half],
});

const meanAlone = (value: number | null): Measured | null => (value === null ? null : { value, interval: null });

/**
 * Where rounds draft all the same number of tokens: the first of each round, and every further one whose predecessors were
 * accepted.
 */
function evaluatedOf({ rounds, drafted, acceptedAt }: EngineCounts): number | null {
  if (rounds === null || drafted === null || acceptedAt === null || drafted !== rounds * acceptedAt.length) return null;
  return rounds + sum(acceptedAt.slice(0, -1));
}

/** Over requests, which are independent of each other; null where too few are told apart. */
function partsInterval({ parts }: EngineCounts): readonly [number, number] | null {
  const units = (parts ?? [])
    .filter(({ rounds }) => rounds > 0)
    .map(({ rounds, accepted }) => ({ numerator: rounds + accepted, denominator: rounds }));
  if (units.length < LEAST_UNITS) return null;
  const { limits } = ratioInterval(units);
  return limits === null ? null : [limits.low, limits.high];
}

/**
 * Half of the 95 % interval of the accepted tokens of a round. Rounds count as independent, though hard passages make misses
 * cluster, so with an engine's totals alone the truth lies outside somewhat oftener.
 *
 * The variance of a round is Σ (2 i − 1) a_i − m² where acceptance by position is known. Else it is at most m (d − m) for a
 * mean of m among d (Bhatia and Davis 2000), which is what is taken.
 */
function halfWidth({ rounds, acceptedAt }: EngineCounts, mean: number, draftTokens: number | null): number | null {
  if (rounds === null || rounds < LEAST_ROUNDS) return null;
  if (acceptedAt !== null) {
    const square = sum(acceptedAt.map((count, i) => ((2 * i + 1) * count) / rounds));
    return Z95 * Math.sqrt(Math.max(0, square - mean ** 2) / rounds);
  }
  if (draftTokens === null) return null;
  return Z95 * Math.sqrt(Math.max(0, mean * (draftTokens - mean)) / rounds);
}
