/** draftplan profile import: a table of latencies from another engine -> an ordinary profile. */
import { DraftplanError } from "../core/errors.js";
import { deliverDocument } from "../output/deliver.js";
import { profileTables } from "../output/profile-tables.js";
import { defaultPath, servedName } from "../pipeline/paths.js";
import { importProfile } from "../pipeline/profile/import.js";
import { Device } from "../schema/common.js";
import type { CommandContext } from "./context.js";

export interface ImportOptions {
  /** a config.json, or a model */
  modelConfig: string;
  /** `processor=…`, `provider=…`, … */
  device: string[];
  output?: string;
}

export async function profileImportCommand(
  table: string,
  options: ImportOptions,
  context: CommandContext,
): Promise<void> {
  const profile = await importProfile(table, options.modelConfig, readDevice(options.device));
  const output = options.output ?? defaultPath("profile", servedName(profile.model.name, profile.device));
  deliverDocument(profile, output, context, () => `${profileTables(profile, context.columns)}\nwritten to ${output}`);
}

/** `scales` says how draftplan itself found a kernel's codes; another engine's are its own. */
const FIELDS = Object.keys(Device.shape).filter((key) => key !== "scales");
/** `target` is there where the target is not fp32 */
const NEEDED = FIELDS.filter((key) => key !== "target");

/** @throws OPTION_INVALID for a field that is missing, unknown, given twice or not a value it can have */
function readDevice(fields: readonly string[]): Device {
  const values = new Map<string, string>();
  for (const field of fields) {
    const [, key, value] = /^([^=]*)=(.*)$/s.exec(field) ?? [];
    if (!FIELDS.includes(key)) throw deviceInvalid(`'${field.slice(0, 60)}' is no field of a device`);
    if (values.has(key)) throw deviceInvalid(`${key} is given twice`);
    values.set(key, value.trim());
  }
  const missing = NEEDED.filter((key) => (values.get(key) ?? "") === "");
  if (missing.length > 0) throw deviceInvalid(`${missing.join(" and ")} ${missing.length > 1 ? "are" : "is"} missing`);
  const { threads, ...rest } = Object.fromEntries(values);
  const parsed = Device.safeParse({ ...rest, threads: /^\d{1,6}$/.test(threads) ? Number(threads) : threads });
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw deviceInvalid(`${String(issue.path[0])}: ${issue.message}`);
}

const deviceInvalid = (what: string): DraftplanError =>
  new DraftplanError({
    code: "OPTION_INVALID",
    at: "--device",
    what,
    remedy:
      'Give all five after the table, each once, and target=fp16 where the target is: --device processor="Example GPU" provider=cuda threads=1 runtime="an engine 1.0" platform="linux x64"',
  });
