/** Worlds in which it is known what should draft: heads of a given accuracy beside the drafts of test/support/documents.ts. */
import type { Calibration } from "../../../src/schema/calibration.js";
import type { HeadsCalibration } from "../../../src/schema/heads-calibration.js";
import type { HeadsPass } from "../../../src/schema/heads-profile.js";
import type { Profile } from "../../../src/schema/profile.js";
import { CONTEXTS, makeCalibration, makeProfile } from "../../support/documents.js";

export const HEADS_SHA = "e".repeat(64);
const RANKS = 3;
const REF = { path: "heads", sha256: HEADS_SHA };

/** Ranks along texts, as a calibration writes them. @param texts [texts][positions] ranks of the next tokens */
export function ranked(texts: readonly (readonly (readonly number[])[])[]): {
  positions: number;
  paths: { ranks: number[]; positions: number }[];
  texts: number[][];
} {
  const found = new Map<string, { ranks: number[]; positions: number }>();
  for (const ranks of texts.flat()) {
    const known = found.get(ranks.join());
    if (known === undefined) found.set(ranks.join(), { ranks: [...ranks], positions: 1 });
    else known.positions++;
  }
  const paths = [...found.values()].sort((a, b) => b.positions - a.positions);
  const index = new Map(paths.map(({ ranks }, i) => [ranks.join(), i]));
  return {
    positions: texts.flat().length,
    paths,
    texts: texts.map((text) => text.map((ranks) => index.get(ranks.join()) as number)),
  };
}

export interface PlantedHeads {
  heads: number;
  /** what each part of each context's text shows */
  contexts: { at_context: number; part: "choose" | "report"; texts: readonly (readonly (readonly number[])[])[] }[];
  /** µs of Medusa's one pass, or of each depth of Hydra's for one row and what a further row adds */
  passes: number | readonly { us: number; rowUs: number }[];
  /** a tree's pass over a chain's, by q; none: not measured */
  timesChain?: (contextTokens: number, queryTokens: number) => number;
}

/** Documents of a model with heads, and with whatever self drafts `measured` has. */
export function planted(
  { heads, contexts, passes, timesChain }: PlantedHeads,
  measured: Calibration["measured"] = [],
  queries: number[] = [1, 5, 17],
): { profile: Profile; calibration: Calibration } {
  const kind = typeof passes === "number" ? "medusa" : "hydra";
  const calibrated: HeadsCalibration = {
    ...{ ...REF, kind, heads, ranks: RANKS },
    contexts: contexts.map(({ at_context, part, texts }) => ({ at_context, part, ...ranked(texts) })),
  };
  const all: HeadsPass[] =
    typeof passes === "number"
      ? [{ rows: 1, us: passes, passes: 10 }]
      : passes.flatMap(({ us, rowUs }, depth) =>
          [1, 9].map((rows) => ({ depth, rows, us: us + rowUs * (rows - 1), passes: 10 })),
        );
  const base = makeProfile();
  const grid = { ...base.grid, query_tokens: queries };
  return {
    calibration: {
      ...makeCalibration([...new Set(contexts.map(({ at_context }) => at_context))], measured),
      heads: [calibrated],
    },
    profile: {
      ...base,
      grid,
      points: base.points.filter(({ query_tokens: q }) => queries.includes(q)),
      heads: [{ ...REF, kind, heads, ranks: RANKS, passes: all }],
      ...(timesChain === undefined
        ? {}
        : {
            tree_passes: CONTEXTS.flatMap((n) =>
              queries
                .filter((q) => q > 1)
                .map((q) => ({ context_tokens: n, query_tokens: q, times_chain: timesChain(n, q), pairs: 9 })),
            ),
          }),
    },
  };
}

/** Positions that stand alone, so that rounds begin at all of them alike: each path so many times. */
export const alone = (counts: readonly (readonly [ranks: readonly number[], positions: number])[]) =>
  counts.flatMap(([ranks, positions]) => Array.from({ length: positions }, () => [ranks]));
