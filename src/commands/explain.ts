/** draftplan explain: why a plan drafts as it does. */
import { explanationJson } from "../output/explain/json.js";
import { explanationText } from "../output/explain/text.js";
import { explainPlan } from "../pipeline/explain.js";
import { readDocumentOf } from "../schema/document.js";
import type { CommandContext } from "./context.js";

export interface ExplainOptions {
  /** context to explain at */
  at?: number;
  /** every block, not the telling ones alone */
  all?: boolean;
}

export function explainCommand(path: string, options: ExplainOptions, context: CommandContext): void {
  const { plan, segment, explanation } = explainPlan(readDocumentOf("draftplan/plan", path), options.at);
  context.print(
    context.json
      ? JSON.stringify(explanationJson(explanation, segment))
      : explanationText(explanation, plan, options.all === true, context.columns),
  );
}
