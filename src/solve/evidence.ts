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
  const found = context.measured.find((m) => m.part === part && m.key === key && m.curve.length > draftTokens);
  return found === undefined ? null : { ...found, lengthError: found.lengthErrors?.[draftTokens - 1] };
}

/** Whether enough rounds came to a tree's last depth. */
export const isSupported = ({ reached = [] }: Known): boolean => (reached.at(-1) ?? 0) >= LEAST_ROUNDS;
