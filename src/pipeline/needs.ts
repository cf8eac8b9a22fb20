/** What a model will need where it is to run, beside what is there: `inspect` says it before anything is written. */
import { cacheFolder } from "../model/cache.js";
import { memoryNeeds, modelNeeds } from "../model/needs.js";
import { freeBytes } from "../model/room.js";
import type { ModelSpec } from "../model/spec.js";
import { freeMemory } from "../runtime/gpu/fits.js";
import { requireProducts } from "../runtime/pass/products.js";
import { graphKindOf } from "../runtime/programs/graph-kind.js";
import { PROGRAM_BYTES } from "../runtime/programs/programs.js";
import { computesOn, dialectFor, listed } from "../runtime/providers.js";
import type { Kernel } from "../schema/choice.js";
import { measuredKernels } from "./choices.js";
import type { PipelineContext } from "./context.js";

export interface NeedsRequest extends Pick<PipelineContext, "provider" | "targetPrecision" | "note"> {
  /** tokens in the cache; undefined: what is loaded by default, and the model's limit */
  tokens?: number[] | undefined;
  /** `int8,int4`; undefined: what is loaded by default */
  choices?: string[] | undefined;
}

/** JSON keys; null: nobody says, or all is in the host's memory */
export interface NeedsFacts {
  provider: string;
  target: string;
  disk_bytes: number;
  disk_free_bytes: number | null;
  weight_bytes: Partial<Record<Kernel | "other", number>>;
  host_free_bytes: number;
  device_free_bytes: number | null;
  /** that programs kept ready may take on the device besides; null: it computes by the graph with choices */
  program_bytes: number | null;
  contexts: {
    context_tokens: number;
    cache_bytes: number;
    host_bytes: number;
    device_bytes: number | null;
    fits: boolean;
  }[];
}

const DEFAULT_CONTEXT = 8192;

/** @throws OPTION_INVALID for what is no choice, CHOICE_UNAVAILABLE for a kernel that the provider lacks */
export async function needsFacts(spec: ModelSpec, request: NeedsRequest): Promise<NeedsFacts> {
  const { provider, tokens, choices } = request;
  const kernels = measuredKernels(choices, request);
  requireProducts(listed(provider) ?? { name: provider }, null, kernels);
  const dialect = dialectFor(provider, request.targetPrecision);
  const needs = modelNeeds(spec, kernels, dialect);
  const free = freeMemory(provider);
  const limited = (tokens: number) => Math.min(tokens, spec.contextLimit);
  const contexts = [...new Set((tokens ?? [DEFAULT_CONTEXT, spec.contextLimit]).map(limited))];
  return {
    provider,
    target: dialect.targetPrecision,
    disk_bytes: needs.diskBytes,
    disk_free_bytes: (await freeBytes(cacheFolder())) ?? null,
    weight_bytes: needs.weightBytes,
    host_free_bytes: free.hostBytes,
    device_free_bytes: free.deviceBytes,
    program_bytes: computesOn(provider) !== "host" && graphKindOf({ provider }) === "programs" ? PROGRAM_BYTES : null,
    contexts: contexts.map((context_tokens) => {
      const memory = memoryNeeds(needs, context_tokens, computesOn(provider));
      const fitsDevice =
        memory.deviceBytes === null || free.deviceBytes === null || memory.deviceBytes <= free.deviceBytes;
      return {
        context_tokens,
        cache_bytes: memory.cacheBytes,
        host_bytes: memory.hostBytes,
        device_bytes: memory.deviceBytes,
        fits: fitsDevice && memory.hostBytes <= free.hostBytes,
      };
    }),
  };
}
