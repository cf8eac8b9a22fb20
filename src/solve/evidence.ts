/** What is known of a drafter's acceptance at a calibrated context, on one part of the text. */
import { choiceKey } from "../schema/choice.js";
import { treeRounds } from "../stats/tree-rounds.js";
import type { SolvedDrafter } from "./drafter.js";
import type { ContextData, MeasuredSet } from "./problem.js";
import { LEAST_ROUNDS } from "./trees/heads.js";

/** A curve and what it rests on. */
export interface Known {
  /** [d + 1] or longer */
  curve: readonly number[];
  /** positions behind it */
  tokens: number;
  /** [d] rounds that came to each position; undefined: not counted */
  reached?: readonly number[] | undefined;
}

/** null where it was not measured to that length on that part. */
export function knownOf(
  context: ContextData,
  part: MeasuredSet["part"],
  { drafter, draftTokens }: { drafter: SolvedDrafter; draftTokens: number },
): Known | null {
  if (drafter.kind === "heads") {
    const text = context.heads.get(drafter.heads.sha256)?.[part];
    if (text === undefined) return null;
    const { curve, reached } = treeRounds(text.along, drafter.tree);
    return { curve, tokens: text.along.positions, reached };
  }
  const key = choiceKey(drafter.set);
  return context.measured.find((m) => m.part === part && m.key === key && m.curve.length > draftTokens) ?? null;
}

/** Whether enough rounds came to a tree's last depth. */
export const isSupported = ({ reached = [] }: Known): boolean => (reached.at(-1) ?? 0) >= LEAST_ROUNDS;
