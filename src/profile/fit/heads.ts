/**
 * From rounds that heads drafted to what their passes take, and to what a tree's verification takes beside a chain's.
 *
 * A tree is compared with the chain of its own pair, and the median over rounds is kept. The heads' times are brought to
 * one level first: a round's chains say how much slower than usual it was, and a round too slow for that to be a common
 * factor is left out, as a visit is (drift.ts). A draw of the bootstrap takes the rounds that it takes for the surface.
 */
import { median } from "simple-statistics";
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
  return [...pairs.values()]
    .flatMap((cell) => {
      const ratios = cell.flatMap(({ round, value: { chainUs, treeUs } }) =>
        treeUs === null ? [] : [{ round, value: treeUs / chainUs }],
      );
      if (ratios.length === 0) return [];
      const { context, query } = cell[0].value;
      const { value, resampled } = estimate(ratios, draws);
      const place = { context_tokens: context, query_tokens: query };
      return [{ ...place, times_chain: significant(value, 5), pairs: ratios.length, ...resampled }];
    })
    .sort((a, b) => a.context_tokens - b.context_tokens || a.query_tokens - b.query_tokens);
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
