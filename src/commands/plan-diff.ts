/** draftplan plan diff: what two plans do differently, and what each predicts, context range by context range. */
import { differenceText } from "../output/plan-difference.js";
import { planDifference } from "../pipeline/plan-difference.js";
import { readDocumentOf } from "../schema/document.js";
import type { CommandContext } from "./context.js";

export function planDiffCommand(before: string, after: string, context: CommandContext): void {
  const [old, now] = [before, after].map((path) => readDocumentOf("draftplan/plan", path).document);
  const difference = planDifference(old, now);
  context.print(context.json ? JSON.stringify(difference) : differenceText(difference));
}
