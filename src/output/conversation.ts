/** What a conversation took, once it is over. */
import { counted } from "../core/text.js";
import type { Turn } from "../pipeline/generate/conversation.js";
import { sum } from "../stats/numbers.js";
import { decodedLines } from "./generation.js";

/** @param drafts whether anything could be drafted @returns nothing where nothing was answered */
export function conversationLines(turns: readonly Turn[], drafts: boolean): string[] {
  if (turns.length === 0) return [];
  const total = (of: (turn: Turn) => number) => sum(turns.map(of));
  const [prompts, run] = [total(({ promptTokens }) => promptTokens), total(({ readTokens }) => readTokens)];
  const decoded = turns.map(({ ids, rounds }) => ({ newTokens: ids.length, rounds }));
  const many = ` in ${counted(turns.length, "turn")}`;
  return decodedLines(`${prompts} prompt tokens, ${run} of them read`, many, decoded, drafts);
}
