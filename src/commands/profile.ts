/** draftplan profile: what every block costs on this device, measured inside whole passes. */
import { statSync } from "node:fs";
import { basename } from "node:path";
import { DraftplanError } from "../core/errors.js";
import { DEFAULT_QUERY, type Grid, parseAxis, resolveGrid } from "../profile/grid.js";
import { profileModel, type ProfileOptions as StageOptions } from "../profile/profile.js";
import { describeDevice, systemClock } from "../runtime/device.js";
import type { Engine } from "../runtime/engine.js";
import { currentNumerics, type ModelRef } from "../schema/common.js";
import { stringifyDocument, writeDocument } from "../schema/document.js";
import type { Profile } from "../schema/profile.js";
import type { CommandContext } from "./context.js";
import { defaultPath } from "./paths.js";
import { profileTables } from "./profile-table.js";
import { withModel } from "./with-model.js";

export interface ProfileOptions {
  /** `-` prints the document */
  output?: string;
  /** `64..4096` or `64,512,4096` */
  context?: string;
  query?: string;
}

/** Room behind the grid: the decoding loop is timed on a prompt of its own. */
const LEAST_CAPACITY = 128;

/** @throws OPTION_INVALID for another spelling, CONTEXT_LIMIT where the model cannot go so far */
export function profileGrid(options: Pick<ProfileOptions, "context" | "query">, contextLimit: number): Grid {
  const context = options.context === undefined ? null : parseAxis("--context", options.context);
  return resolveGrid(context, parseAxis("--query", options.query ?? DEFAULT_QUERY), contextLimit);
}

/** Tokens the KV cache must hold to profile this grid. */
export const profileCapacity = ({ contexts, queries }: Grid): number =>
  Math.max(LEAST_CAPACITY, contexts[contexts.length - 1] + queries[queries.length - 1]);

/** Measures an open model and makes the document of it. */
export async function makeProfile(
  engine: Engine,
  model: ModelRef,
  grid: Grid,
  { provider, threads, progress }: Pick<CommandContext, "provider" | "threads" | "progress">,
  options: Partial<Pick<StageOptions, "seed" | "budgetSeconds" | "minRounds" | "maxRounds">> = {},
): Promise<Profile> {
  const measured = await profileModel({ engine, clock: systemClock, ...grid, progress, ...options });
  const device = describeDevice(provider, threads);
  return { kind: "draftplan/profile", version: 1, model, device, kernels: currentNumerics(), ...measured };
}

export async function profileCommand(model: string, options: ProfileOptions, context: CommandContext): Promise<void> {
  refuseConfigOnly(model);
  const profile = await withModel(
    model,
    context,
    (checkpoint) => {
      const grid = profileGrid(options, checkpoint.spec.contextLimit);
      return { grid, capacity: profileCapacity(grid) };
    },
    ({ engine, ref }, { grid }) => makeProfile(engine, ref, grid, context),
  );
  deliver(profile, options.output, context);
}

function deliver(profile: Profile, output: string | undefined, context: CommandContext): void {
  if (output === "-") {
    if (context.json) context.print(JSON.stringify(profile));
    else context.write(stringifyDocument(profile));
    return;
  }
  const path = output ?? defaultPath("profile", profile.model.name);
  writeDocument(path, profile);
  if (context.json) context.print(JSON.stringify(profile));
  else context.print(`${profileTables(profile)}\nwritten to ${path}`);
}

function refuseConfigOnly(model: string): void {
  if (basename(model) !== "config.json" || statSync(model, { throwIfNoEntry: false })?.isFile() !== true) return;
  throw new DraftplanError({
    code: "NOT_YET_SUPPORTED",
    at: model,
    what: "a configuration alone cannot be profiled yet: draftplan does not make weights up so far",
    remedy: "Give the folder that holds config.json and the .safetensors files.",
  });
}
