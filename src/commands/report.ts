/** draftplan report: any documents as one HTML page. */
import { resolve } from "node:path";
import { DraftplanError } from "../core/errors.js";
import { writeText } from "../core/output-file.js";
import { STDOUT } from "../output/deliver.js";
import { reportOn } from "../pipeline/report.js";
import type { CommandContext } from "./context.js";

export interface ReportOptions {
  /** file to write, or `-` */
  output: string;
}

export async function reportCommand(
  paths: readonly string[],
  { output }: ReportOptions,
  context: CommandContext,
): Promise<void> {
  refuseOutput(output, paths, context.json);
  const { html, documents } = reportOn(paths, new Date(), context);
  if (output === STDOUT) return context.write(html);
  writeText(output, html);
  if (context.json) context.print(JSON.stringify({ written: output, documents }));
  else context.print(`Written to ${output}`);
}

function refuseOutput(output: string, paths: readonly string[], json: boolean): void {
  if (output === STDOUT && json) {
    throw new DraftplanError({
      code: "USAGE",
      at: "draftplan report",
      what: "-o - and --json would both print to stdout",
      remedy: "Write the page to a file, -o report.html, or leave --json out.",
    });
  }
  if (output !== STDOUT && paths.some((path) => resolve(path) === resolve(output))) {
    throw new DraftplanError({
      code: "OPTION_INVALID",
      at: `-o ${output}`,
      what: "the page would take the place of a document it is made from",
      remedy: "Choose another name, such as -o report.html.",
    });
  }
}
