/**
 * The seam between decoding and what drafts: a drafter proposes tokens, the target's pass judges them, so a drafter decides
 * about speed alone. Each has a file of its own here and a line in index.ts; CONTRIBUTING.md shows how to add one.
 */
import type { Progress } from "../../core/progress.js";
import type { Engine } from "../../runtime/engine.js";
import type { ChoiceSet, Kernel } from "../../schema/choice.js";

/** A token that a drafter chose. */
export interface Chosen {
  readonly token: number;
  /** [vocabSize] weights that it was drawn by; null: it was not drawn, but the likeliest */
  readonly distribution: Float64Array | null;
  /** that nothing more is to be drafted behind it; left out: a draft goes on to its greatest length */
  readonly last?: boolean;
}

/** What a drafter is shown of a generation. */
export interface DraftState {
  /** the target's; its cache holds keys and values of the first `context` tokens, and may be written behind them */
  readonly engine: Engine;
  /** [context + 1] the prompt and all that was emitted since; the last token is `pending` */
  readonly text: readonly number[];
  /** tokens in the target's cache */
  readonly context: number;
  /** the last token emitted: not in the cache yet, and what a draft goes on from */
  readonly pending: number;
  /**
   * [hiddenSize] the target's last residual state where it chose `pending`, before the final norm. A view, valid until the
   * engine's next pass. Null where the target has not chosen yet, which no drafter is asked at
   */
  readonly hidden: Float32Array | null;
  /** nodes that a proposal may have: rows that the cache has room for and that one verification gives logits for */
  readonly mostNodes: number;
  /**
   * The token that a drafter with logits of its own puts behind the text and `drafted`: the likeliest under greedy decoding.
   * When text is sampled it is drawn, behind the same filters as the target's and from the same random source, and the
   * proposal must say what from (`Proposal.distributions`). A drafter that guesses without drawing leaves it alone. One that
   * asks puts the token into its proposal, whatever it is, and ends the proposal with it where it says `last`.
   * @param logits  [vocabSize] of the drafter, not the target's
   * @param drafted tokens that it has put behind the text already, along the path
   */
  choose(logits: Float32Array, drafted: readonly number[]): Chosen;
}

/** Drafted tokens as a tree that grows from the pending token; a chain is a tree. No tokens: nothing is proposed. */
export interface Proposal {
  /** [nodes] */
  readonly tokens: readonly number[];
  /** [nodes] the node that each follows, an earlier one; null: the pending token */
  readonly parents: readonly (number | null)[];
  /**
   * [nodes][vocabSize] the weights each token was drawn by, null for one that was not drawn; left out where a drafter chose all
   * its tokens without drawing
   */
  readonly distributions?: readonly (Float64Array | null)[];
}

export const NOTHING: Proposal = { tokens: [], parents: [] };

/** Tokens one behind the other. */
export const chain = (tokens: readonly number[]): Proposal => ({
  tokens,
  parents: tokens.map((_, i) => (i === 0 ? null : i - 1)),
});

/** The same of tokens that `DraftState.choose` gave: drawn all of them, or none. */
export function chosenChain(chosen: readonly Chosen[]): Proposal {
  const distributions = chosen.flatMap(({ distribution }) => distribution ?? []);
  const proposal = chain(chosen.map(({ token }) => token));
  return distributions.length === 0 ? proposal : { ...proposal, distributions };
}

/**
 * The chain with alternatives of its last token, none of them drawn: a token that was drawn and rejected has been judged by then,
 * and whatever is tried behind it, chosen by it or not, leaves what is drawn as it is (accept/sampling.ts).
 * @param likeliest the last step's likeliest tokens, its own among them or not
 */
export function withSiblings(proposal: Proposal, likeliest: readonly number[], mostSiblings: number): Proposal {
  const last = proposal.tokens.length - 1;
  const siblings = likeliest.filter((token) => token !== proposal.tokens[last]).slice(0, Math.max(0, mostSiblings));
  const { tokens, parents, distributions } = proposal;
  return {
    tokens: [...tokens, ...siblings],
    parents: [...parents, ...siblings.map(() => parents[last])],
    ...(distributions === undefined ? {} : { distributions: [...distributions, ...siblings.map(() => null)] }),
  };
}

/** Latencies of passes, by which a drafter is priced. */
export interface PassPrices {
  /** µs of a pass of one token through these blocks of the target */
  draftUs(choices: ChoiceSet, contextTokens: number): number;
  /** µs of a pass of one token through another model, all of it in one kernel; left out where none drafts */
  modelUs?(weightsSha256: string, kernel: Kernel, contextTokens: number): number;
  /**
   * µs of all passes of heads in one round; left out where none draft
   * @param rows [depth] nodes that have children there, the pending token first: what Hydra's heads are run on
   */
  headsUs?(sha256: string, rows: readonly number[]): number;
}

export interface Drafter {
  /** equal for drafters that propose the same: what is learnt about one holds for the other */
  readonly key: string;
  /**
   * Proposes what may follow `state.pending`, up to `draftTokens` tokens one behind the other (of a tree that is its depth)
   * and `state.mostNodes` in all. Fewer, or none, is a fair answer: where nothing is proposed the round is a plain step.
   */
  draft(state: DraftState, draftTokens: number): Proposal;
  /** Expected µs of draft(), a profile's passes given. */
  costUs(prices: PassPrices, contextTokens: number, draftTokens: number): number;
  /**
   * A generation begins: the prompt, for a cache or an index of the drafter's own. Called once before anything is asked
   * of it; what it takes counts as the prompt's time where the policy names the drafter beforehand.
   */
  begin?(text: readonly number[], progress: Progress): void | Promise<void>;
  /** Tokens were added to the text, the drafter's own or others: what it drafted beyond them was rejected. */
  extend?(tokens: readonly number[]): void;
  /**
   * The target's states of tokens that came to stand in its cache, for a drafter with a cache of its own over them
   * (Hydra's prefix layer): told behind `begin` for the prompt, then before every draft for what was added since, without
   * a gap. The states of drafted tokens that were rejected are never among them.
   * @param position of the first
   * @param hidden   [rows, hiddenSize] before the final norm; a view, valid during the call
   */
  states?(position: number, hidden: Float32Array): void;
  /** Releases what it holds; called by whoever opened it, not by the decoder. */
  close?(): void;
}

/** Who drafts a round, and at most how many tokens one behind the other. `choices` alone: the model's own blocks do. */
export type DraftRequest = { readonly draftTokens: number } & (
  | { readonly drafter: Drafter }
  | { readonly choices: ChoiceSet }
);
