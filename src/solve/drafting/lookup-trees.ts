/**
 * Lookups that go on from several places at once, alone or in front of another drafter.
 *
 * Every least match times every length times every number of places would take a walk along the text each. So the fastest
 * chains of two least matches are where the search begins: places and their tokens are tried at a few lengths, for more
 * places pay with other lengths than one, then every length with the best of them.
 */
import { type Branches, lookupNodes } from "../../schema/drafter.js";
import { drafterKey, familyKey } from "../drafter.js";
import type { Problem } from "../problem.js";
import { type Candidate, opener, optionsOf } from "./candidates.js";
import { hybridOf, lookupOf } from "./drafters.js";
import { fastestByKey, fastestFirst, type Option } from "./option.js";

/** Places at once, tokens of each but the first, and lengths of the first that are tried. */
const PLACES = [2, 3, 4, 8];
const PLACE_TOKENS = [1, 2, 4, 8];
const FEW_LENGTHS = [2, 4, 8, 12];
const LENGTHS = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16];
/** Chains of different drafters that trees are tried for, at each context. */
const MOST_CHAINS = 2;
/** A tree has to be predicted this many times as fast as the chain in its place: the simpler of two that cannot be told apart. */
const LEAST_GAIN = 1.01;

/** A lookup's draft: tokens of the first place, and the others. */
interface Shape {
  tokens: number;
  branches: Branches | undefined;
}

/**
 * @param contexts those solved at
 * @param chains   lookups of one place, or hybrids with them; others among them are left alone
 * @returns none where trees were not timed, or may not be drafted
 */
export function lookupTrees(
  problem: Problem,
  contexts: readonly number[],
  chains: (n: number) => readonly Option[],
): (n: number) => Option[] {
  if (!problem.trees) return () => [];
  const open = opener(problem);
  const kept = new Map<string, Candidate>();
  for (const n of contexts)
    for (const chain of fastestOfFamilies(chains(n)).slice(0, MOST_CHAINS)) {
      const tree = bestTree(problem, n, chain, open);
      if (tree !== null) kept.set(tree.key, tree);
    }
  return optionsOf(problem, [...kept.values()], open);
}

/** Lookups and hybrids by falling speed, one of each least match or other drafter. */
const fastestOfFamilies = (options: readonly Option[]): Option[] =>
  fastestFirst(
    fastestByKey(options, (drafter) =>
      drafter.kind === "lookup" || drafter.kind === "hybrid" ? familyKey(drafter) : null,
    ),
  );

/** The fastest tree found from a chain; null where none is worth more than the chain. */
function bestTree(problem: Problem, n: number, chain: Option, open: ReturnType<typeof opener>): Option | null {
  const { maxDraft, latency } = problem;
  const fits = ({ tokens, branches }: Shape) =>
    tokens <= maxDraft &&
    (branches === undefined ||
      (branches.draft_tokens <= tokens && lookupNodes(tokens, branches) <= latency.maxTreeNodes));
  let [best, shape] = [chain, shapeOf(chain)];
  const tryAll = (shapes: readonly Shape[]) => {
    for (const other of shapes.filter(fits)) {
      const option = open(n, shaped(chain, other));
      if (option !== null && option.tokensPerSecond > best.tokensPerSecond) [best, shape] = [option, other];
    }
  };
  const branched = PLACES.flatMap((count) => PLACE_TOKENS.map((draft_tokens) => ({ count, draft_tokens })));
  const lengths = [...new Set([shape.tokens, ...FEW_LENGTHS])];
  tryAll(lengths.flatMap((tokens) => branched.map((branches) => ({ tokens, branches }))));
  const { branches } = shape;
  tryAll(LENGTHS.map((tokens) => ({ tokens, branches })));
  return shape.branches !== undefined && best.tokensPerSecond >= LEAST_GAIN * chain.tokensPerSecond ? best : null;
}

function shapeOf({ drafter, draftTokens }: Candidate): Shape {
  return { tokens: drafter.kind === "hybrid" ? drafter.lookupTokens : draftTokens, branches: undefined };
}

/** The lookup of a chain, drafting so. */
function shaped({ drafter, draftTokens }: Candidate, { tokens, branches }: Shape): Candidate {
  if (drafter.kind === "lookup") return { drafter: lookupOf(drafter.ngramTokens, branches), draftTokens: tokens };
  if (drafter.kind !== "hybrid") throw new Error(`a ${drafter.kind} looks nothing up`);
  const hybrid = { ...drafter, lookupTokens: tokens, branches };
  return { drafter: hybridOf(hybrid, drafterKey(drafter.otherwise)), draftTokens };
}
