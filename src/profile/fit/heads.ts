/**
 * From rounds that heads drafted to what their passes take, and to what a tree's verification takes beside a chain's.
 *
 * A tree is compared with the chain of its own pair, and the median over rounds is kept, drawn towards that of other q. The heads' times are brought to
 * one level first: a round's chains say how much slower than usual it was, and a round too slow for that to be a common
 * factor is left out, as a visit is (drift.ts). A draw of the bootstrap takes the rounds that it takes for the surface.
 */
import { mean, median, sampleVariance } from "simple-statistics";
import type { LocatedHeads } from "../../decode/drafters/heads.js";
import type { HeadsPass, HeadsProfile, TreePass } from "../../schema/heads-profile.js";
import { hundredths, significant } from "../../stats/numbers.js";
import type { HeadsRound, HeadsTime, TreePair } from "../sweep/heads.js";

const DISTURBED = 1.5;

/** A value of one round, and the round. */
interface OfRound {
  round: number;
  value: number;
}

/**
 * @param rounds [rounds] null: nothing of heads was measured in it
 * @param draws  [draws + 1][rounds] how often each round counts; the first: each once
 * @returns of what was not measured, nothing
 */
export function headsCosts(
  located: readonly LocatedHeads[],
  rounds: readonly (HeadsRound | null)[],
  draws: readonly (readonly number[])[],
): { heads?: HeadsProfile[]; tree_passes?: TreePass[] } {
  const heads = located.flatMap(({ heads, path }, index) => {
    const { kind, sha256, ranks } = heads;
    const passes = headsPasses(rounds, index, draws);
    return passes.length === 0 ? [] : [{ path, sha256, kind, heads: heads.heads, ranks, passes }];
  });
  const trees = treePasses(rounds, draws);
  return { ...(heads.length > 0 ? { heads } : {}), ...(trees.length > 0 ? { tree_passes: trees } : {}) };
}

function treePasses(rounds: readonly (HeadsRound | null)[], draws: readonly (readonly number[])[]): TreePass[] {
  const pairs = gathered(
    rounds,
    ({ pairs }) => pairs,
    ({ context, query }) => `${context} ${query}`,
  );
  const cells = [...pairs.values()].flatMap((cell): TreeCell[] => {
    const { context, query } = cell[0].value;
    const logs = cell.flatMap(({ round, value: { chainUs, treeUs } }) =>
      treeUs === null ? [] : [{ round, value: Math.log(treeUs / chainUs) }],
    );
    return logs.length === 0 ? [] : [{ context, query, logs }];
  });
  const contexts = [...new Set(cells.map(({ context }) => context))].sort((a, b) => a - b);
  return contexts.flatMap((context) => {
    const here = cells.filter((cell) => cell.context === context).sort((a, b) => a.query - b.query);
    const drawn = pooledRatios(here, draws); // [cells][draws + 1]
    return here.map(({ query, logs }, i) => ({
      ...{ context_tokens: context, query_tokens: query },
      ...{ times_chain: significant(drawn[i][0], 5), pairs: logs.length },
      ...(draws.length > 1 ? { resampled: drawn[i].slice(1).map((ratio) => significant(ratio / drawn[i][0], 5)) } : {}),
    }));
  });
}

/** The pairs of one place. */
interface TreeCell {
  context: number;
  query: number;
  /** logarithms of tree over chain */
  logs: OfRound[];
}

/** The standard error of a median over the mean's for normal noise, and of a sample's standard deviation over its MAD. */
const MEDIAN_PENALTY = 1.2533;
const DEVIATION_OF_MAD = 1.4826;

/**
 * Tree over chain at every q of one context. A few pairs on a busy machine say little about one q, and every q's ratio is
 * much like the others', for a mask is a mask: so each is drawn towards their mean, by as much of their scatter as their own
 * noise explains (James and Stein 1961, with the variances estimated). Without noise nothing is drawn anywhere.
 * @returns [cells][draws + 1]
 */
function pooledRatios(cells: readonly TreeCell[], draws: readonly (readonly number[])[]): number[][] {
  const own = cells.map(({ logs }) => median(logs.map(({ value }) => value)));
  const variances = cells.map(({ logs }, i) => {
    const deviation = DEVIATION_OF_MAD * median(logs.map(({ value }) => Math.abs(value - own[i])));
    return (MEDIAN_PENALTY * deviation) ** 2 / logs.length;
  });
  const scatter = cells.length < 2 ? Number.POSITIVE_INFINITY : sampleVariance(own);
  const between = Math.max(0, scatter - mean(variances));
  const weights = variances.map((variance) =>
    variance === 0 || between === Infinity ? 1 : between / (between + variance),
  );
  const drawnLogs = draws.map((counts) =>
    cells.map(({ logs }, i) => {
      const drawn = logs.flatMap(({ round, value }) => new Array<number>(counts[round] ?? 0).fill(value));
      return drawn.length === 0 ? own[i] : median(drawn);
    }),
  );
  return cells.map((_, i) => drawnLogs.map((logs) => Math.exp(mean(logs) + weights[i] * (logs[i] - mean(logs)))));
}

function headsPasses(
  rounds: readonly (HeadsRound | null)[],
  index: number,
  draws: readonly (readonly number[])[],
): HeadsPass[] {
  const slow = slownessOf(rounds);
  const quiet = rounds.map((round, i) => (slow[i] > DISTURBED ? null : round));
  const used = quiet.some((round) => round !== null) ? quiet : rounds;
  const times = gathered(
    used,
    ({ passes }) => passes.filter(({ heads }) => heads === index),
    ({ depth, rows }) => `${depth} ${rows}`,
  );
  return [...times.values()]
    .map((cell) => {
      const { depth, rows } = cell[0].value;
      const byRound = new Map<number, number[]>();
      for (const { round, value } of cell) byRound.set(round, [...(byRound.get(round) ?? []), value.us / slow[round]]);
      const { value, resampled } = estimate(
        [...byRound].map(([round, us]) => ({ round, value: median(us) })),
        draws,
      );
      const place = depth === null ? { rows } : { depth, rows };
      return { ...place, us: hundredths(value), passes: cell.length, ...resampled };
    })
    .sort((a, b) => (a.depth ?? 0) - (b.depth ?? 0) || a.rows - b.rows);
}

/** [rounds] how much slower than usual the chains of each ran: 1 is the median of a cell */
function slownessOf(rounds: readonly (HeadsRound | null)[]): number[] {
  const cells = gathered(
    rounds,
    ({ pairs }) => pairs,
    ({ context, query }) => `${context} ${query}`,
  );
  const usual = new Map([...cells].map(([key, cell]) => [key, median(cell.map(({ value }) => value.chainUs))]));
  const share = ({ context, query, chainUs }: TreePair) => chainUs / (usual.get(`${context} ${query}`) as number);
  return rounds.map((round) => (round === null || round.pairs.length === 0 ? 1 : median(round.pairs.map(share))));
}

/** What rounds have of one place, in the order in which places first occur. */
function gathered<T extends TreePair | HeadsTime>(
  rounds: readonly (HeadsRound | null)[],
  of: (round: HeadsRound) => readonly T[],
  key: (one: T) => string,
): Map<string, { round: number; value: T }[]> {
  const found = new Map<string, { round: number; value: T }[]>();
  rounds.forEach((all, round) => {
    for (const value of all === null ? [] : of(all))
      found.set(key(value), [...(found.get(key(value)) ?? []), { round, value }]);
  });
  return found;
}

/** The median, and each draw's as a factor of it; a draw with none of these rounds is the sample's own. */
function estimate(values: readonly OfRound[], draws: readonly (readonly number[])[]) {
  const own = median(values.map(({ value }) => value));
  const resampled = draws.slice(1).map((counts) => {
    const drawn = values.flatMap(({ round, value }) => new Array<number>(counts[round] ?? 0).fill(value));
    return drawn.length === 0 || !(own > 0) ? 1 : Math.round((10_000 * median(drawn)) / own) / 10_000;
  });
  return { value: own, resampled: resampled.length === 0 ? {} : { resampled } };
}
