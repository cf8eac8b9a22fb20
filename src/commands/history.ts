/** draftplan history: verifications over time, for each model, device and plan, with the changes among them. */
import { historyJson } from "../output/history/json.js";
import { historyLines } from "../output/history/table.js";
import { type HistoryFilter, historyOf } from "../pipeline/history.js";
import type { CommandContext } from "./context.js";

export type HistoryOptions = HistoryFilter;

export async function historyCommand(folder: string, options: HistoryOptions, context: CommandContext): Promise<void> {
  const { trends, leftOut } = await historyOf(folder, options, context);
  if (context.json) context.print(JSON.stringify(historyJson(trends, leftOut)));
  else for (const line of historyLines(trends, folder, context.columns)) context.print(line);
}
