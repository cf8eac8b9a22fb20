/** draftplan doctor: what this machine can run, how fast its memory is, and what would disturb a measurement. */
import { DraftplanError } from "../core/errors.js";
import { doctorJson } from "../output/doctor/json.js";
import { doctorText } from "../output/doctor/text.js";
import { examineMachine } from "../pipeline/doctor/examine.js";
import type { Probes } from "../runtime/probe.js";
import type { CommandContext } from "./context.js";

/**
 * @param probes how libraries and providers are tried
 * @throws after the report, what is in the way where no model can be run: RUNTIME_LOAD, PROVIDER_UNAVAILABLE, …
 */
export async function doctorCommand(context: CommandContext, probes: Probes): Promise<void> {
  const report = await examineMachine(context, probes);
  for (const { code, message } of report.warnings) context.progress.warn(code, message);
  context.print(context.json ? JSON.stringify(doctorJson(report)) : doctorText(report, context.columns));
  if (report.failure === null) return;
  const library = context.ortLibrary === undefined ? "onnxruntime" : `--ort-library ${context.ortLibrary}`;
  const at = report.library.version === null ? library : `--provider ${context.provider}`;
  throw new DraftplanError({ at, ...report.failure });
}
