/** What a plan says in words, the same in a warning and on a screen. */
import { counted } from "../core/text.js";
import { describeChoices, expandDraft } from "./choice.js";
import type { Branches, DrafterRef, NgramTokens } from "./drafter.js";
import type { Plan, Refuted, Segment } from "./plan.js";

/** `context 0 to 256: text kept back predicts 0.87 times plain decoding for …`; null where nothing was refused. */
export function refutedText({ context_tokens, refuted, ...planned }: Segment, layers: number): string | null {
  if (refuted === undefined) return null;
  const { from, to } = context_tokens;
  const instead =
    planned.draft_tokens === undefined
      ? "plain decoding instead; drafts without a measurement on that text cannot follow (measure them: --model MODEL)"
      : `instead ${draftingText(planned, layers)}`;
  const refusals = refuted.map((one) => refusal(one, layers)).join(" and ");
  return `context ${from} to ${to}: text kept back predicts a loss for ${refusals}; ${instead}`;
}

/** `Drafts have a cache of their own, …`: what it costs where it is predicted; null for a plan whose drafts read the target's. */
export function ownCacheText(
  { draft_cache, answer_tokens }: Pick<Plan, "draft_cache" | "answer_tokens">,
  { predicted, context_tokens }: Pick<Segment, "predicted" | "context_tokens">,
): string | null {
  if (draft_cache !== "own") return null;
  const { at_context, prompt_us, draft_cache_bytes: bytes } = predicted ?? {};
  const reading =
    prompt_us === undefined
      ? ""
      : `; reading a prompt of ${at_context} tokens into it takes ${(prompt_us / 1000).toFixed(1)} ms, shared by the ${answer_tokens} tokens of an answer`;
  const memory =
    bytes === undefined ? "" : `; it takes ${(bytes / 2 ** 20).toFixed(1)} MiB at ${context_tokens.to} tokens`;
  return `Drafts have a KV cache of their own, as engines have it${reading}${memory}.`;
}

/**
 * When a draft ends, where both rules were predicted; null where a fixed length is all there is.
 * `a draft ends early where it is unsure (4.2 tokens in the mean, 8 at most; 3.61 tokens a round, 1.71 times plain decoding; a
 * fixed length of 5 would be 1.65)`
 */
export function stopText({ stop, predicted, draft_tokens }: Segment): string | null {
  if (stop === undefined) return null;
  const early = stop.predicted;
  const most = `${stop.draft_tokens} at most`;
  const mean = early === undefined ? most : `${early.mean_draft_tokens.toFixed(1)} tokens in the mean, ${most}`;
  const yields =
    early === undefined
      ? ""
      : `; ${early.accepted_length.toFixed(2)} tokens a round, ${early.speedup.toFixed(2)} times plain decoding`;
  const times = predicted === undefined ? "" : ` ${predicted.speedup.toFixed(2)}`;
  return stop.rule === "early"
    ? `a draft ends early where it is unsure (${mean}${yields}; a fixed length of ${draft_tokens} would be${times === "" ? " the other rule" : times})`
    : `every draft has a fixed length, ${draft_tokens}${times === "" ? "" : ` (${times.trim()} times plain decoding)`}: ending early where it is unsure gains too little (${mean}${yields})`;
}

const refusal = ({ at_context, speedup, ...refuted }: Refuted, layers: number): string =>
  `${draftingText(refuted, layers)} (${speedup.toFixed(2)} times plain decoding at ${at_context})`;

/** `3 tokens with int8 24, head int8`; `1 token with heads, a chain`; `4 tokens with heads, a tree of 16 nodes` */
export const draftingText = (
  { drafter, draft, draft_tokens }: Pick<Segment, "drafter" | "draft" | "draft_tokens">,
  layers: number,
) => `${counted(draft_tokens ?? 0, "token")} with ${draftText({ drafter, draft }, layers)}`;

/** Who drafts, and with which of the model's own blocks: `int8 24, head int8`; `a lookup of 2 to 4 tokens`. */
export const draftText = ({ drafter, draft }: Pick<Segment, "drafter" | "draft">, layers: number): string =>
  drafterText(drafter, draft === undefined ? undefined : describeChoices(expandDraft(draft, layers, "plan")));

/**
 * `heads, a tree of 16 nodes`, `heads, a chain` where every node but the last has one child; `a lookup of 2 to 4 tokens`;
 * `SmolLM2-135M in int8`; `a lookup of 3 to 4 tokens, else heads, a chain`
 * @param own the model's own blocks, in words
 */
export function drafterText(drafter: DrafterRef | undefined, own = "its own blocks"): string {
  switch (drafter?.kind) {
    case undefined:
      return own;
    case "self":
      return drafter.siblings === undefined
        ? own
        : `${own} and ${counted(drafter.siblings, "sibling")} of the last token`;
    case "lookup":
      return `a lookup of ${tokensText(drafter.ngram_tokens)}${branchesText(drafter.branches)}`;
    case "model":
      return `${drafter.name} ${drafter.kernel === "target" ? "in its own precision" : `in ${drafter.kernel}`}`;
    case "heads": {
      const { tree } = drafter;
      const isChain = tree.every((path, i) => path.length === i + 1);
      return isChain ? "heads, a chain" : `heads, a tree of ${counted(tree.length, "node")}`;
    }
    case "hybrid": {
      const { min_match: min, ngram_tokens, draft_tokens } = drafter.lookup;
      const length = draft_tokens === undefined ? "" : ` (${counted(draft_tokens, "token")} drafted)`;
      const lookup = tokensText({ min: Math.max(min, ngram_tokens.min), max: ngram_tokens.max });
      return `a lookup of ${lookup}${length}${branchesText(drafter.lookup.branches)}, else ${drafterText(drafter.otherwise, own)}`;
    }
  }
}

/** ` from up to 3 places (2 tokens of each further one)` */
const branchesText = (branches: Branches | undefined): string =>
  branches === undefined
    ? ""
    : ` from up to ${branches.count} places (${counted(branches.draft_tokens, "token")} of each further one)`;

const tokensText = ({ min, max }: NgramTokens): string =>
  min === max ? counted(min, "token") : `${min} to ${max} tokens`;
