/** What is known of a drafter's acceptance at a calibrated context, on one part of the text. */
import { choiceKey } from "../schema/choice.js";
import { acceptedLengthError } from "../stats/length-error.js";
import { treeRounds } from "../stats/tree-rounds.js";
import type { SolvedDrafter } from "./drafter.js";
import { knownHybrid, knownLookup, knownModel } from "./drafting/evidence.js";
import type { Known } from "./drafting/known.js";
import type { ContextData, MeasuredSet } from "./problem.js";
import { LEAST_ROUNDS } from "./trees/heads.js";

/** null where it was not measured to that length on that part. */
export function knownOf(
  context: ContextData,
  part: MeasuredSet["part"],
  { drafter, draftTokens }: { drafter: SolvedDrafter; draftTokens: number },
): Known | null {
  const guessed = context.guessed[part];
  if (drafter.kind === "lookup") return guessed === undefined ? null : knownLookup(guessed, drafter, draftTokens);
  if (drafter.kind === "model") return guessed === undefined ? null : knownModel(guessed, drafter, draftTokens);
  if (drafter.kind === "hybrid") {
    const { otherwise, otherwiseTokens } = drafter;
    const alone = knownOf(context, part, { drafter: otherwise, draftTokens: otherwiseTokens });
    return guessed === undefined || alone === null ? null : knownHybrid(guessed, drafter, alone);
  }
  if (drafter.kind === "heads") {
    const text = context.heads.get(drafter.heads.sha256)?.[part];
    if (text === undefined) return null;
    const { curve, reached, byText } = treeRounds(text.along, drafter.tree);
    const { kinds, windows } = text.along;
    const counts = byText.map((count, i) => ({ ...count, kind: kinds?.[i], window: windows?.[i] }));
    return { curve, tokens: text.along.positions, reached, lengthError: acceptedLengthError(counts) ?? undefined };
  }
  const key = choiceKey(drafter.set);
  const measured = context.measured.find((m) => m.part === part && m.key === key && m.curve.length > draftTokens);
  return measured === undefined ? null : withSiblings(measured, drafter.siblings, draftTokens);
}

/**
 * The last token's acceptance with its siblings'. Where nobody looked at them nothing is known on the text of choosing; text
 * kept back then counts what the chain alone accepts, since it only refuses.
 */
function withSiblings(measured: MeasuredSet, siblings: number, draftTokens: number): Known | null {
  // how sure the tokens of a round are is the chain's: the last token is a small part of them
  const lengthError = measured.lengthErrors?.[draftTokens - 1];
  if (siblings === 0) return { ...measured, lengthError };
  const { part, tokens, reached } = measured;
  const curve = measured.curve.slice(0, draftTokens + 1);
  const shares = measured.siblings?.[draftTokens - 1];
  if (shares === undefined && part === "choose") return null;
  const rate = (shares ?? []).slice(0, siblings).reduce((sum, share) => sum + share, 0);
  const before = curve[draftTokens - 1];
  curve[draftTokens] = Math.min(before, curve[draftTokens] + before * rate);
  return { curve, tokens, reached: reached?.slice(0, draftTokens), lengthError };
}

/** Whether enough rounds came to a tree's last depth. */
export const isSupported = ({ reached = [] }: Known): boolean => (reached.at(-1) ?? 0) >= LEAST_ROUNDS;
