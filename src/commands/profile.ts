/** draftplan profile: what every block costs on this device, measured inside whole passes. */
import { DraftplanError } from "../core/errors.js";
import type { ModelSpec } from "../model/spec.js";
import { DEFAULT_QUERY, type Grid, parseAxis, resolveGrid } from "../profile/grid.js";
import { profileModel, type ProfileOptions as StageOptions } from "../profile/profile.js";
import { describeDevice, systemClock } from "../runtime/device.js";
import type { Engine } from "../runtime/engine.js";
import { currentNumerics, type ModelRef } from "../schema/common.js";
import type { Profile } from "../schema/profile.js";
import type { CommandContext } from "./context.js";
import { deliverProfile } from "./profile-output.js";
import { isConfig, machineRoom, profileSynthetic } from "./profile-synthetic.js";
import { withModel } from "./with-model.js";

export interface ProfileOptions {
  /** `-` prints the document */
  output?: string;
  /** `64..4096` or `64,512,4096` */
  context?: string;
  query?: string;
  /** GiB that a model made up from a config.json may take */
  memory?: number;
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
  { provider, threads, ortLibrary, progress }: Pick<CommandContext, "provider" | "threads" | "ortLibrary" | "progress">,
  options: Partial<Pick<StageOptions, "seed" | "budgetSeconds" | "minRounds" | "maxRounds">> = {},
): Promise<Profile> {
  const measured = await profileModel({ engine, clock: systemClock, ...grid, progress, ...options });
  const device = describeDevice(provider, threads, ortLibrary);
  return { kind: "draftplan/profile", version: 1, model, device, kernels: currentNumerics(), ...measured };
}

export async function profileCommand(model: string, options: ProfileOptions, context: CommandContext): Promise<void> {
  deliverProfile(
    await (isConfig(model) ? profileConfig : profileWeights)(model, options, context),
    options.output,
    context,
  );
}

function prepareGrid(options: ProfileOptions, { contextLimit }: ModelSpec) {
  const grid = profileGrid(options, contextLimit);
  return { ...grid, capacity: profileCapacity(grid) };
}

function profileWeights(model: string, options: ProfileOptions, context: CommandContext): Promise<Profile> {
  if (options.memory !== undefined) throw memoryWithWeights(model);
  return withModel(
    model,
    context,
    ({ spec }) => prepareGrid(options, spec),
    ({ engine, ref }, grid) => makeProfile(engine, ref, grid, context),
  );
}

function profileConfig(path: string, options: ProfileOptions, context: CommandContext): Promise<Profile> {
  return profileSynthetic(
    path,
    machineRoom(options.memory, context.threads),
    {
      prepare: (spec) => prepareGrid(options, spec),
      measure: (engine, ref, grid) => makeProfile(engine, ref, grid, context),
    },
    context,
  );
}

const memoryWithWeights = (model: string) =>
  new DraftplanError({
    code: "USAGE",
    at: "--memory",
    what: `it decides how much of a model is made up from a config.json, and ${model} has its own weights`,
    remedy: "Leave --memory out, or give the model's config.json.",
  });
