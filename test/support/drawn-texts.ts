/** How texts begin that a table draws: exact chances by trying every text, and counts of what decoding gave. */
import { silentProgress } from "../../src/core/progress.js";
import { acceptOf } from "../../src/decode/accept/of-filters.js";
import type { Drafter } from "../../src/decode/drafters/drafter.js";
import type { Heads } from "../../src/decode/drafters/heads.js";
import { DRAFTERS } from "../../src/decode/drafters/index.js";
import { lookupDrafter } from "../../src/decode/drafters/lookup.js";
import { OwnCache } from "../../src/decode/drafters/own-cache.js";
import { type DraftPolicy, decode, prefillFor } from "../../src/decode/loop.js";
import { systemClock } from "../../src/runtime/device.js";
import type { Filters } from "../../src/schema/sampling.js";
import { seededRandom } from "../../src/stats/random.js";
import { chiSquareDeviation } from "../oracle/chi-square.js";
import { naiveProbabilities } from "../oracle/naive-filters.js";
import { allInt8 } from "./plans.js";
import { tableEngine } from "./table-engine.js";

export const VOCAB = 24;
/** tokens told apart: the first comes from the prompt, the others from a round that drafts them */
const TOLD = 3;
const PROMPT = [3, 1, 3, 1, 3];
const DRAFT_TOKENS = 3;

/** Heads that always guess the same. */
const guesses = Int32Array.from({ length: 2 * VOCAB }, (_, i) => (i * 7 + 2) % VOCAB);
const heads: Heads = {
  ...{ kind: "medusa", heads: 2, ranks: VOCAB, sha256: "cd".repeat(32) },
  guess: (_hidden, depth) => guesses.subarray(depth * VOCAB, (depth + 1) * VOCAB),
  guessAll: () => guesses,
  close: () => {},
};

type TableEngine = ReturnType<typeof tableEngine>;

/** Every drafter of the list, by its word. */
export function everyDrafter(engine: TableEngine, seed: number): [string, Drafter][] {
  const other = tableEngine({ vocab: VOCAB, seed: seed + 1000 });
  const open = { kind: "model" as const, weightsSha256: "ef".repeat(32), cache: new OwnCache(other), close() {} };
  const own = { draft: allInt8, layers: engine.spec.layers, at: "test" };
  const ngramTokens = { min: 1, max: 3 };
  const sources = {
    ...own,
    ...{ ngramTokens, model: { open, kernel: "target" as const } },
    heads: { open: heads, tree: [[0], [3], [0, 0], [0, 1], [3, 2]] },
    ownCache: new OwnCache(tableEngine({ vocab: VOCAB, seed })),
    hybrid: { otherwise: DRAFTERS.self(own), minMatch: 2, lookupTokens: DRAFT_TOKENS, otherwiseTokens: DRAFT_TOKENS },
  };
  return [
    ...Object.entries(DRAFTERS).map(([kind, make]): [string, Drafter] => [kind, make(sources)]),
    ["lookup from several places", lookupTree()],
    ["self with siblings", DRAFTERS.self({ ...own, siblings: 3 })],
  ];
}

/** Every token stood in several places of what it looks up, and other tokens followed: nearly all its drafts are trees. */
function lookupTree(): Drafter {
  const lookup = lookupDrafter({ min: 1, max: 2 }, { count: 4, draft_tokens: 2 });
  const before = Array.from({ length: 6 * VOCAB }, (_, i) => (i * 5 + Math.floor(i / VOCAB) * 7) % VOCAB);
  return { ...lookup, begin: (text, progress) => lookup.begin?.([...before, ...text], progress) };
}

export const FILTERS: Omit<Filters, "temperature">[] = [
  {},
  { top_k: 20 },
  { top_p: 0.9 },
  { min_p: 0.05 },
  { top_k: 20, top_p: 0.9, min_p: 0.05 },
  { top_k: 20, top_p: 0.9, min_p: 0.05, repetition_penalty: 1.6 },
];
export const TEMPERATURES = [0.7, 1.3];

/** [VOCAB ** TOLD] chance of every beginning, by the definition of each filter. */
export function exactChances(engine: TableEngine, filters: Filters): number[] {
  const chances: number[] = [];
  const visit = (begun: readonly number[], chance: number) => {
    if (begun.length === TOLD) {
      chances.push(chance);
      return;
    }
    const text = [...PROMPT, ...begun];
    const p = chance === 0 ? [] : naiveProbabilities(engine.rowOf(text), filters, text);
    for (let token = 0; token < VOCAB; token++) visit([...begun, token], chance * (p[token] ?? 0));
  };
  visit([], 1);
  return chances;
}

/**
 * Deviation in standard normal units of what is drawn from what should be.
 * @param rule how tokens are accepted and drawn; tests of the test hand in wrong ones
 */
export async function deviationOf(
  engine: TableEngine,
  drafter: Drafter,
  filters: Filters,
  draws: number,
  seed: number,
  rule: typeof acceptOf = acceptOf,
): Promise<number> {
  const counts = new Array<number>(VOCAB ** TOLD).fill(0);
  const policy: DraftPolicy = Object.assign(() => ({ drafter, draftTokens: DRAFT_TOKENS }), { drafters: [drafter] });
  const accept = rule(filters, seededRandom(seed));
  const prefilled = await prefillFor(engine, PROMPT, [policy], silentProgress);
  for (let i = 0; i < draws; i++) {
    // room for whole drafts, and no round once all that is told apart is there
    let missing = TOLD;
    const stopAfter = ({ length }: readonly number[]) => {
      const stop = length >= missing ? missing : null;
      missing -= length;
      return stop;
    };
    const limits = { maxTokens: TOLD + 2, endTokens: [], stopAfter };
    const { ids } = await decode(engine, PROMPT, { ...limits, prefilled, clock: systemClock, policy, accept });
    counts[ids.reduce((index, token) => index * VOCAB + token, 0)]++;
  }
  return pooledDeviation(counts, exactChances(engine, filters));
}

/** Cells that expect fewer than ten are counted together. */
function pooledDeviation(counts: readonly number[], chances: readonly number[]): number {
  const draws = counts.reduce((sum, count) => sum + count, 0);
  const full = chances.flatMap((chance, i) => (chance * draws >= 10 ? [{ chance, count: counts[i] }] : []));
  const told = full.reduce((sum, { chance, count }) => ({ chance: sum.chance + chance, count: sum.count + count }), {
    ...{ chance: 0, count: 0 },
  });
  const rest = { chance: 1 - told.chance, count: draws - told.count };
  if (rest.chance * draws >= 10) full.push(rest);
  else if (rest.count > 0 || rest.chance > 0) {
    full[0].chance += rest.chance;
    full[0].count += rest.count;
  }
  return chiSquareDeviation(
    full.map(({ count }) => count),
    full.map(({ chance }) => chance),
  );
}
