/** draftplan profile import: a table of latencies from another engine -> an ordinary profile. */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { DraftplanError } from "../core/errors.js";
import { readUserFile } from "../core/user-file.js";
import { architectureSha256 } from "../model/digest.js";
import { openCheckpoint, openConfigOnly } from "../model/open.js";
import type { ModelSpec } from "../model/spec.js";
import { deliverDocument } from "../output/deliver.js";
import { profileTables } from "../output/profile-tables.js";
import { defaultPath } from "../pipeline/paths.js";
import { isConfig, readConfig } from "../pipeline/profile/synthetic.js";
import { importTable } from "../profile/import/import.js";
import { type Kernel, kernelsFor } from "../schema/choice.js";
import { Device, numericsOf } from "../schema/common.js";
import { MAX_DOCUMENT_BYTES, sha256 } from "../schema/document.js";
import { assumedNumerics, DEFAULT_PRECISION } from "../schema/numerics.js";
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
  const device = readDevice(options.device);
  const bytes = readUserFile(table, MAX_DOCUMENT_BYTES);
  const spec = await readSpec(options.modelConfig);
  const { wholePass, ...measured } = importTable(bytes.toString("utf8"), spec.layers, table);
  const profile = {
    kind: "draftplan/profile",
    version: 1,
    model: {
      name: spec.name,
      layers: spec.layers,
      architecture_sha256: architectureSha256(spec),
      weights_sha256: null,
    },
    device,
    kernels: numericsOf(
      kernelsFor(measured.points.flatMap(({ head_us }) => Object.keys(head_us) as Kernel[])),
      assumedNumerics(device.target ?? DEFAULT_PRECISION),
    ),
    imported: { source: basename(table), sha256: sha256(bytes), whole_pass: wholePass },
    ...measured,
  } as const;
  const output = options.output ?? defaultPath("profile", profile.model.name);
  deliverDocument(profile, output, context, () => `${profileTables(profile)}\nwritten to ${output}`);
}

/** A folder's weights are not looked at: a profile does not depend on them, and their digest would take minutes. */
async function readSpec(model: string): Promise<ModelSpec> {
  if (isConfig(model)) return readConfig(model);
  const config = join(model, "config.json");
  if (existsSync(config)) return openConfigOnly(config);
  const checkpoint = await openCheckpoint(model);
  checkpoint.close();
  return checkpoint.spec;
}

const FIELDS = Object.keys(Device.shape);
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
