/** draftplan profile: what every block costs on this device, measured inside whole passes. */
import { DraftplanError } from "../core/errors.js";
import { weightBytes } from "../model/graph/weight-bytes.js";
import type { ModelSpec } from "../model/spec.js";
import { counted } from "../output/check/text.js";
import { deliverProfile } from "../output/profile/deliver.js";
import { parseChoices } from "../pipeline/choices.js";
import type { CommandContext } from "../pipeline/context.js";
import { readBandwidth, withFloor } from "../pipeline/profile/floor.js";
import { FileSamples, type KeptRounds, UnkeptRounds } from "../pipeline/profile/samples.js";
import { isConfig, machineRoom, profileSynthetic } from "../pipeline/profile/synthetic.js";
import { withModel } from "../pipeline/with-model.js";
import { parseBudget, parsePrecision } from "../profile/budget.js";
import { DEFAULT_QUERY, type Grid, parseAxis, resolveGrid } from "../profile/grid.js";
import { DEFAULTS, profileModel, type ProfileOptions as StageOptions } from "../profile/profile.js";
import { describeDevice, systemClock } from "../runtime/device.js";
import type { Engine } from "../runtime/engine.js";
import { DEFAULT_KERNELS, type Kernel, kernelsFor } from "../schema/choice.js";
import { type ModelRef, numericsOf } from "../schema/common.js";
import type { Profile } from "../schema/profile.js";

export interface ProfileOptions {
  /** `-` prints the document */
  output?: string;
  /** `64..4096` or `64,512,4096` */
  context?: string;
  query?: string;
  /** kernels to measure beside the target; `skip` costs nothing and is always there */
  choices?: string[];
  /** time for all measuring: `60s`, `2m`, `90` */
  budget?: string;
  /** wanted relative standard error of the target's median: `1%` */
  precision?: string;
  /** file of the raw samples, gone on from where it exists */
  samples?: string;
  /** GiB that a model made up from a config.json may take */
  memory?: number;
}

/** Room behind the grid: the decoding loop is timed on a prompt of its own. */
const LEAST_CAPACITY = 128;
/** Bounds the fit, where time or precision bounds the sweep. */
const MANY_ROUNDS = 200;

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
  options: Partial<
    Pick<
      StageOptions,
      "seed" | "budgetSeconds" | "minRounds" | "maxRounds" | "precisionPercent" | "recorder" | "onInterrupted"
    >
  > = {},
): Promise<Profile> {
  const startUs = systemClock.nowUs();
  const bytesPerSecond = readBandwidth({ provider, threads, ortLibrary });
  const measured = await profileModel({ engine, clock: systemClock, ...grid, progress, startUs, ...options });
  const device = describeDevice(provider, threads, ortLibrary);
  const kernels = numericsOf(engine.kernels, engine.numerics);
  const { contextLimit: context_limit_tokens } = engine.spec;
  const weight_bytes = weightBytes(engine.spec, engine.kernels, engine.numerics.float);
  const head = { kind: "draftplan/profile", version: 1, model, device, kernels } as const;
  const profile = { ...head, context_limit_tokens, weight_bytes, ...measured };
  return withFloor(profile, engine.spec, bytesPerSecond);
}

/** Target and the kernels of `--choices`. @throws OPTION_INVALID */
export const measuredKernels = (choices: readonly string[] | undefined): readonly Kernel[] =>
  choices === undefined ? DEFAULT_KERNELS : kernelsFor(parseChoices(choices));

export async function profileCommand(model: string, options: ProfileOptions, context: CommandContext): Promise<void> {
  const stop = stopOptions(options);
  let interruption: { reason: unknown } | null = null;
  let recorder: KeptRounds = new UnkeptRounds();
  const measure: Measure = async (engine, ref, grid) => {
    if (options.samples !== undefined) recorder = openSamples(options.samples, engine, ref, grid, context);
    return makeProfile(engine, ref, grid, context, {
      ...stop,
      recorder,
      onInterrupted: (reason) => {
        interruption = { reason };
      },
    });
  };
  try {
    const profile = await (isConfig(model) ? profileConfig : profileWeights)(model, options, context, measure);
    context.note(describeStop(profile.sampling));
    deliverProfile(profile, options.output, context);
  } catch (error) {
    const kept = recorder.keptText(error);
    if (kept !== null) context.note(kept);
    throw error;
  }
  // the document is written of what there is; the exit code still says what happened
  if (interruption !== null) throw (interruption as { reason: unknown }).reason;
}

type Measure = (engine: Engine, ref: ModelRef, grid: Grid) => Promise<Profile>;

/** Where a time or a precision is asked for, it decides, and not the number of rounds that does by default. */
function stopOptions({ budget, precision }: ProfileOptions) {
  return {
    ...(budget === undefined ? {} : { budgetSeconds: parseBudget(budget) }),
    ...(precision === undefined ? {} : { precisionPercent: parsePrecision(precision) }),
    ...(budget === undefined && precision === undefined ? {} : { maxRounds: MANY_ROUNDS }),
  };
}

function openSamples(path: string, engine: Engine, model: ModelRef, grid: Grid, context: CommandContext): FileSamples {
  const { provider, threads, ortLibrary, note } = context;
  const samples = new FileSamples(path, {
    kind: "draftplan/samples",
    version: 1,
    model,
    device: describeDevice(provider, threads, ortLibrary),
    kernels: numericsOf(engine.kernels, engine.numerics),
    grid: { context_tokens: grid.contexts, query_tokens: grid.queries, query_line: grid.queryLine },
    seed: DEFAULTS.seed,
  });
  if (samples.kept.rounds > 0) note(`going on after the ${counted(samples.kept.rounds, "round")} in ${path}`);
  return samples;
}

/** What ended the sweep, and which criterion was not met. */
export function describeStop(sampling: Profile["sampling"]): string {
  if (sampling === undefined) return "";
  const { rounds, stopped_by, unmet = [], precision_percent } = sampling;
  const precise = precision_percent == null ? "" : `, the target's medians known to ${precision_percent.toFixed(1)} %`;
  const ending = {
    precision: "precise enough",
    rounds: "enough rounds",
    time: "no more time",
    interrupted: "interrupted",
  };
  const why = stopped_by === undefined ? "" : ` (${ending[stopped_by]})`;
  return `measured ${counted(rounds, "round")}${why}${precise}${unmet.length === 0 ? "" : `; not met: ${unmet.join(", ")}`}`;
}

function prepareGrid(options: ProfileOptions, { contextLimit }: ModelSpec) {
  const grid = profileGrid(options, contextLimit);
  return { ...grid, capacity: profileCapacity(grid) };
}

function profileWeights(
  model: string,
  options: ProfileOptions,
  context: CommandContext,
  measure: Measure,
): Promise<Profile> {
  if (options.memory !== undefined) throw memoryWithWeights(model);
  return withModel(
    model,
    { ...context, kernels: measuredKernels(options.choices) },
    ({ spec }) => prepareGrid(options, spec),
    ({ engine, ref }, grid) => measure(engine, ref, grid),
  );
}

function profileConfig(
  path: string,
  options: ProfileOptions,
  context: CommandContext,
  measure: Measure,
): Promise<Profile> {
  return profileSynthetic(
    path,
    machineRoom(options.memory, context.threads),
    {
      prepare: (spec) => prepareGrid(options, spec),
      measure: (engine, ref, grid) => measure(engine, ref, grid),
    },
    { ...context, kernels: measuredKernels(options.choices) },
  );
}

const memoryWithWeights = (model: string) =>
  new DraftplanError({
    code: "USAGE",
    at: "--memory",
    what: `it decides how much of a model is made up from a config.json, and ${model} has its own weights`,
    remedy: "Leave --memory out, or give the model's config.json.",
  });
