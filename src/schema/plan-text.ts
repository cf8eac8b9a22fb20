/** What a plan says in words, the same in a warning and on a screen. */
import { counted } from "../core/text.js";
import { describeChoices, expandDraft } from "./choice.js";
import type { DrafterRef } from "./drafter.js";
import type { Refuted, Segment } from "./plan.js";

/** `context 0 to 256: text kept back predicts 0.87 times plain decoding for …`; null where nothing was refused. */
export function refutedText({ context_tokens, refuted, ...planned }: Segment, layers: number): string | null {
  if (refuted === undefined) return null;
  const { from, to } = context_tokens;
  const instead =
    planned.draft_tokens === undefined
      ? "plain decoding instead; drafts without a measurement on that text cannot follow (measure them: --model MODEL)"
      : `instead ${drafting(planned, layers)}`;
  const refusals = refuted.map((one) => refusal(one, layers)).join(" and ");
  return `context ${from} to ${to}: text kept back predicts a loss for ${refusals}; ${instead}`;
}

const refusal = ({ at_context, speedup, ...refuted }: Refuted, layers: number): string =>
  `${drafting(refuted, layers)} (${speedup.toFixed(2)} times plain decoding at ${at_context})`;

/** `3 tokens with int8 24, head int8`; `4 tokens with heads, a tree of 16 nodes`; `4 tokens with heads, a chain` */
const drafting = (
  { drafter, draft, draft_tokens }: Pick<Segment, "drafter" | "draft" | "draft_tokens">,
  layers: number,
) =>
  `${draft_tokens} tokens with ${draft === undefined ? drafterText(drafter) : describeChoices(expandDraft(draft, layers, "plan"))}`;

/** `heads, a tree of 16 nodes`; `heads, a chain` where every node but the last has one child */
export function drafterText(drafter: DrafterRef | undefined): string {
  if (drafter?.kind !== "heads") return "its own blocks";
  const { tree } = drafter;
  const isChain = tree.every((path, i) => path.length === i + 1);
  return isChain ? "heads, a chain" : `heads, a tree of ${counted(tree.length, "node")}`;
}
