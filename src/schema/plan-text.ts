/** What a plan says in words, the same in a warning and on a screen. */
import { describeChoices, expandDraft } from "./choice.js";
import type { Refuted, Segment } from "./plan.js";

/** `context 0 to 256: text kept back predicts 0.87 times plain decoding for …`; null where nothing was refused. */
export function refutedText({ context_tokens, refuted, draft, draft_tokens }: Segment, layers: number): string | null {
  if (refuted === undefined) return null;
  const { from, to } = context_tokens;
  const instead =
    draft === undefined
      ? "plain decoding instead; drafts without a measurement on that text cannot follow (measure them: --model MODEL)"
      : `instead ${draft_tokens} tokens with ${describeChoices(expandDraft(draft, layers, "plan"))}`;
  const refusals = refuted.map((one) => refusal(one, layers)).join(" and ");
  return `context ${from} to ${to}: text kept back predicts a loss for ${refusals}; ${instead}`;
}

const refusal = ({ draft, draft_tokens, at_context, speedup }: Refuted, layers: number): string =>
  `${draft_tokens} tokens with ${describeChoices(expandDraft(draft, layers, "plan"))} (${speedup.toFixed(2)} times plain decoding at ${at_context})`;
