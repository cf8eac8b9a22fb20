/** Lookups, other models, and a lookup beside another drafter, at every least match and length that is worth a look. */
import { drafterKey, type SingleDrafter, type SolvedDrafter } from "../drafter.js";
import type { Problem } from "../problem.js";
import { type Candidate, optionsOf } from "./candidates.js";
import { hybridOf, lookupOf, modelOf } from "./drafters.js";
import { lookupTrees } from "./lookup-trees.js";
import { fastestByKey, fastestFirst, type Option } from "./option.js";

/** Least matches that are tried, and lengths that a lookup drafts beside another drafter. */
const MATCHES = [1, 2, 3, 4, 5, 6, 8];
const HYBRID_TOKENS = [2, 3, 4, 6, 8, 10, 12, 16];
/** Other drafters, each at its best length, that a lookup is tried beside. */
const MOST_OTHERS = 3;

/** @param others what drafts without a lookup, at a context; a hybrid is tried beside the best of them */
export function textOptions(
  problem: Problem,
  contexts: readonly number[],
  others: (n: number) => readonly Option[],
): (n: number) => Option[] {
  const { drafters, maxDraft, lookup, models } = problem;
  const singles: Candidate[] = [
    ...(drafters.includes("lookup") && lookup !== null ? lookups(lookup.max_ngram_tokens, maxDraft) : []),
    ...(drafters.includes("model") ? models.flatMap((model) => atLengths(modelOf(model), maxDraft)) : []),
  ];
  const chains = optionsOf(problem, singles);
  const trees = lookupTrees(problem, contexts, chains);
  const alone = (n: number) => [...chains(n), ...trees(n)];
  if (!drafters.includes("hybrid") || lookup === null) return alone;
  const beside = new Map<string, Option>();
  for (const n of contexts)
    for (const option of bestOfEach([...others(n), ...alone(n)]).slice(0, MOST_OTHERS)) beside.set(option.key, option);
  const mixed = optionsOf(
    problem,
    [...beside.values()].flatMap(({ drafter, draftTokens }) =>
      hybrids(drafter as SingleDrafter, draftTokens, lookup.max_ngram_tokens, maxDraft),
    ),
  );
  const branching = lookupTrees(problem, contexts, mixed);
  return (n) => [...alone(n), ...mixed(n), ...branching(n)];
}

const lookups = (max: number, maxDraft: number): Candidate[] =>
  MATCHES.filter((min) => min <= max).flatMap((min) => atLengths(lookupOf({ min, max }), maxDraft));

const atLengths = (drafter: SolvedDrafter, maxDraft: number): Candidate[] =>
  Array.from({ length: maxDraft }, (_, i) => ({ drafter, draftTokens: i + 1 }));

function hybrids(otherwise: SingleDrafter, otherwiseTokens: number, max: number, maxDraft: number): Candidate[] {
  const matches = MATCHES.filter((min) => min <= max);
  return matches.flatMap((minMatch) =>
    HYBRID_TOKENS.filter((tokens) => tokens <= maxDraft).map((lookupTokens) => {
      const lookup = { minMatch, ngramTokens: { min: 1, max }, lookupTokens, branches: undefined };
      const hybrid = { ...lookup, otherwise, otherwiseTokens };
      return { drafter: hybridOf(hybrid, drafterKey(otherwise)), draftTokens: otherwiseTokens };
    }),
  );
}

/** The best of each drafter that is no lookup, the fastest first. */
const bestOfEach = (options: readonly Option[]): Option[] =>
  fastestFirst(
    fastestByKey(options, (drafter) =>
      drafter.kind === "lookup" || drafter.kind === "hybrid" ? null : drafterKey(drafter),
    ),
  );
