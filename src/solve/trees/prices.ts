/**
 * What a round of heads costs, µs: the heads' own passes, and how much longer the target's pass over a tree takes than over
 * a chain of as many rows. Both are read off the profile; between what was measured, straight lines.
 */
import { DraftplanError } from "../../core/errors.js";
import type { HeadsProfile, TreePass } from "../../schema/heads-profile.js";
import type { Profile } from "../../schema/profile.js";

export interface HeadsPrices {
  /**
   * @param rows [depth] rows of each pass of Hydra's heads; of Medusa's one pass gives all
   * @throws DRAFTER_UNAVAILABLE where these heads were not profiled
   */
  headsUs(sha256: string, rows: readonly number[]): number;
  /** the pass of a tree over that of a chain; 1 where no tree was measured. Places of the profile's contexts, and rows */
  timesChain(contextIndex: number, queryTokens: number): number;
}

interface Point {
  x: number;
  y: number;
}

/** Through points of rising x; before the first and past the last one their own value. */
function through(points: readonly Point[], x: number): number {
  const after = points.findIndex((point) => point.x >= x);
  if (after <= 0) return points[after === 0 ? 0 : points.length - 1].y;
  const [a, b] = [points[after - 1], points[after]];
  return a.y + ((x - a.x) / (b.x - a.x)) * (b.y - a.y);
}

const byX = (a: Point, b: Point): number => a.x - b.x;

export function openHeadsPrices({ heads = [], tree_passes = [], grid }: Profile): HeadsPrices {
  const passes = new Map(heads.map((one) => [one.sha256, passesOf(one)]));
  const times = timesByContext(tree_passes);
  const kept = new Map<string, number>();
  return {
    headsUs(sha256, rows) {
      const us = passes.get(sha256);
      if (us === undefined) throw unavailable(sha256);
      return us(rows);
    },
    timesChain(contextIndex, queryTokens) {
      if (times.length === 0) return 1;
      const key = `${contextIndex} ${queryTokens}`;
      const known = kept.get(key);
      if (known !== undefined) return known;
      const points = times.map(({ n, byQuery }) => ({ x: n, y: through(byQuery, queryTokens) }));
      const found = through(points, grid.context_tokens[contextIndex]);
      kept.set(key, found);
      return found;
    },
  };
}

function passesOf({ passes }: HeadsProfile): (rows: readonly number[]) => number {
  const whole = passes.find(({ depth }) => depth === undefined);
  if (whole !== undefined) return () => whole.us;
  const byDepth = new Map<number, Point[]>();
  for (const { depth, rows, us } of passes) {
    if (depth === undefined) continue;
    byDepth.set(depth, [...(byDepth.get(depth) ?? []), { x: rows, y: us }].sort(byX));
  }
  return (rows) => rows.reduce((sum, count, depth) => sum + through(byDepth.get(depth) ?? [], count), 0);
}

function timesByContext(passes: readonly TreePass[]): { n: number; byQuery: Point[] }[] {
  const byContext = new Map<number, Point[]>();
  for (const { context_tokens: n, query_tokens: x, times_chain: y } of passes)
    byContext.set(n, [...(byContext.get(n) ?? []), { x, y }]);
  return [...byContext].map(([n, points]) => ({ n, byQuery: points.sort(byX) })).sort((a, b) => a.n - b.n);
}

const unavailable = (sha256: string) =>
  new DraftplanError({
    code: "DRAFTER_UNAVAILABLE",
    at: "profile: heads",
    what: `the heads ${sha256.slice(0, 12)}… were not profiled`,
    remedy: "Profile them: draftplan profile MODEL --drafters heads:FOLDER",
  });
