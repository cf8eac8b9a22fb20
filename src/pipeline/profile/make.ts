/** A profile of an open model. */

import type { Progress } from "../../core/progress.js";
import { weightBytes } from "../../model/graph/matrices.js";
import type { ModelSpec } from "../../model/spec.js";
import type { Grid } from "../../profile/grid.js";
import { DEFAULT_QUERY, parseAxis, resolveGrid } from "../../profile/grid.js";
import type { ProfileOptions as StageOptions } from "../../profile/profile.js";
import { profileModel } from "../../profile/profile.js";
import { systemClock } from "../../runtime/device.js";
import type { Engine } from "../../runtime/engine.js";
import { gpuFacts, readGpu, throttledText } from "../../runtime/gpu/nvidia-smi.js";
import { isNvidia } from "../../runtime/providers.js";
import type { ModelRef } from "../../schema/common.js";
import { numericsOf } from "../../schema/common.js";
import type { GpuFacts } from "../../schema/gpu.js";
import type { Profile } from "../../schema/profile.js";
import type { PipelineContext } from "../context.js";
import { deviceOf } from "../device.js";
import { readBandwidth, withFloor } from "./floor.js";

/** Room behind the grid: the decoding loop is timed on a prompt of its own. */
const LEAST_CAPACITY = 128;

/** How the axes of a grid are spelled; undefined: the default ones. */
export interface GridOptions {
  /** `64..4096` or `64,512,4096` */
  context?: string | undefined;
  query?: string | undefined;
}

/** @throws OPTION_INVALID for another spelling, CONTEXT_LIMIT where the model cannot go so far */
export function profileGrid(options: GridOptions, contextLimit: number): Grid {
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
  context: Pick<PipelineContext, "provider" | "threads" | "ortLibrary" | "progress">,
  options: Partial<
    Pick<
      StageOptions,
      | "seed"
      | "budgetSeconds"
      | "minRounds"
      | "maxRounds"
      | "precisionPercent"
      | "draws"
      | "recorder"
      | "heads"
      | "trees"
      | "spans"
      | "text"
      | "onInterrupted"
    >
  > = {},
): Promise<Profile> {
  const { provider, progress } = context;
  const startUs = systemClock.nowUs();
  const bytesPerSecond = readBandwidth(context);
  const before = isNvidia(provider) ? readGpu() : null;
  const measured = await profileModel({ engine, clock: systemClock, ...grid, progress, startUs, ...options });
  const after = before === null ? null : readGpu();
  const gpu = before === null || after === null ? {} : { gpu: gpuFacts(before, after) };
  warnWhereThrottled(gpu.gpu, progress);
  const device = deviceOf(context, engine);
  const kernels = numericsOf(engine.kernels, engine.numerics);
  const { contextLimit: context_limit_tokens } = engine.spec;
  const weight_bytes = weightBytes(engine.spec, engine.kernels, engine.numerics, engine.shortHeads);
  const head = { kind: "draftplan/profile", version: 1, model, device, kernels } as const;
  const mixture = mixtureOf(engine.spec, options.text !== undefined, progress);
  const profile = { ...head, ...gpu, context_limit_tokens, weight_bytes, ...mixture, ...measured };
  return withFloor(profile, engine.spec, bytesPerSecond);
}

/** @returns what a profile says of a mixture of experts: of another model no key */
function mixtureOf(
  { experts }: ModelSpec,
  onText: boolean,
  progress: Pick<Progress, "warn">,
): Pick<Profile, "experts"> {
  if (experts === undefined) return {};
  const { count, perToken: per_token } = experts;
  if (!onText)
    progress.warn(
      "ROUTED_AT_RANDOM",
      `each token asks for ${per_token} of ${count} experts, and no text of the model's was there to time it on: tokens at random ask for more experts between them than a text does, so passes over several tokens may be faster than this profile says`,
    );
  return { experts: { count, per_token, tokens: onText ? "text" : "random" } };
}

function warnWhereThrottled(gpu: GpuFacts | undefined, progress: Pick<Progress, "warn">): void {
  const text = gpu && throttledText(gpu);
  if (text) progress.warn("GPU_THROTTLED", `${text}; times are of a slower GPU than this one can be`);
}
