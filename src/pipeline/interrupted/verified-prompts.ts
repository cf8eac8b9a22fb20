/** Prompts that an interrupted run had verified, plan beside plan, as parts of what it finished. */
import { sha256 } from "../../schema/document.js";
import type { Plan } from "../../schema/plan.js";
import type { Journal, PromptRuns, VerifyPrompt } from "../../verify/index.js";
import type { FinishedParts } from "./finished-parts.js";

/**
 * Names of the parts that prompts are, or turns of prompts.
 * @param plans   that are run by turns: what was run for others is not gone on from
 * @param prompts likewise
 */
export function promptParts(plans: readonly Plan[], prompts: readonly unknown[]): (index: number) => string {
  const digest = sha256(JSON.stringify([plans, prompts])).slice(0, 16);
  return (index) => `prompt ${index + 1} of ${digest}`;
}

/** @param plans [plans] that are verified by turns */
export function verifiedPrompts(
  parts: FinishedParts,
  prompts: readonly VerifyPrompt[],
  plans: readonly Plan[],
): Journal {
  const nameOf = promptParts(plans, prompts);
  const names = prompts.map((_, index) => nameOf(index));
  const finished = new Map<number, readonly PromptRuns[]>();
  names.forEach((name, index) => {
    const runs = parts.find(name);
    if (runs !== undefined) finished.set(index, runs as PromptRuns[]);
  });
  return {
    finished,
    resumed: parts.resumed(names),
    record(index, runs) {
      parts.record(names[index], runs);
    },
  };
}
