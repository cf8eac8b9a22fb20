/** draftplan export: a plan as what an engine takes. */
import { exportSummary } from "../output/exported.js";
import { exportPlan } from "../pipeline/export/export-plan.js";
import { readDocumentOf } from "../schema/document.js";
import type { CommandContext } from "./context.js";

export interface ExportOptions {
  to: string;
  model: string;
  output: string;
  context?: number;
  weights?: string;
}

export async function exportCommand(plan: string, options: ExportOptions, context: CommandContext): Promise<void> {
  const document = await exportPlan({ plan: readDocumentOf("draftplan/plan", plan), ...options }, context);
  if (context.json) context.print(JSON.stringify(document));
  else context.print(exportSummary(document, options.output));
}
