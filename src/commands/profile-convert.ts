/** draftplan profile convert: runs of an engine's own benchmark -> a table for profile import. */
import { writeText } from "../core/output-file.js";
import { STDOUT } from "../output/deliver.js";
import { convertBenchmarks } from "../pipeline/profile/convert.js";
import type { CommandContext } from "./context.js";

export interface ConvertOptions {
  output: string;
}

export function profileConvertCommand(list: string, { output }: ConvertOptions, context: CommandContext): void {
  const table = convertBenchmarks(list);
  if (output !== STDOUT) writeText(output, table);
  const rows = table.trimEnd().split("\n").length - 1;
  if (context.json) context.print(JSON.stringify({ output, rows }));
  else context.print(output === STDOUT ? table.trimEnd() : `${rows} rows written to ${output}`);
}
