/** A table of latencies from another engine -> an ordinary profile. */

import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { readUserFile } from "../../core/user-file.js";
import { utf8Text } from "../../core/utf8.js";
import { architectureSha256 } from "../../model/digest.js";
import { snapshotOf } from "../../model/hub/reference.js";
import { openCheckpoint, openConfigOnly } from "../../model/open.js";
import type { ModelSpec } from "../../model/spec.js";
import { importTable } from "../../profile/import/import.js";
import { type Kernel, kernelsFor } from "../../schema/choice.js";
import { type Device, numericsOf } from "../../schema/common.js";
import { MAX_DOCUMENT_BYTES, sha256 } from "../../schema/document.js";
import { assumedNumerics, DEFAULT_PRECISION } from "../../schema/numerics.js";
import type { Profile } from "../../schema/profile.js";
import { isConfig, readConfig } from "./synthetic.js";

/**
 * @param table  a file of CSV
 * @param model  a config.json, or a model: what the latencies are of
 * @param device what they were measured on
 * @throws FILE_NOT_FOUND, FILE_UNREADABLE, what importTable and opening the model throw
 */
export async function importProfile(table: string, model: string, device: Device): Promise<Profile> {
  const bytes = readUserFile(table, MAX_DOCUMENT_BYTES);
  const spec = await readSpec(model);
  const revision = snapshotOf(isConfig(model) ? dirname(model) : model)?.revision;
  const { wholePass, ...measured } = importTable(utf8Text(bytes, table), spec.layers, table);
  return {
    kind: "draftplan/profile",
    version: 1,
    model: {
      name: spec.name,
      layers: spec.layers,
      architecture_sha256: architectureSha256(spec),
      weights_sha256: null,
      ...(revision === undefined ? {} : { revision }),
    },
    device,
    kernels: numericsOf(
      kernelsFor(measured.points.flatMap(({ head_us }) => Object.keys(head_us) as Kernel[])),
      assumedNumerics(device.target ?? DEFAULT_PRECISION),
    ),
    imported: { source: basename(table), sha256: sha256(bytes), whole_pass: wholePass },
    ...measured,
  };
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
