/** Prompts that an interrupted run had verified, plan beside plan, as parts of what it finished. */
import { sha256 } from "../../schema/document.js";
import type { Plan } from "../../schema/plan.js";
import type { Journal, PromptRuns, VerifyPrompt } from "../../verify/index.js";
import type { FinishedParts } from "./finished-parts.js";

/** @param plans [plans] that are verified by turns: what was run for others is not gone on from */
export function verifiedPrompts(
  parts: FinishedParts,
  prompts: readonly VerifyPrompt[],
  plans: readonly Plan[],
): Journal {
  const digest = sha256(JSON.stringify([plans, prompts])).slice(0, 16);
  const names = prompts.map((_, index) => `prompt ${index + 1} of ${digest}`);
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
