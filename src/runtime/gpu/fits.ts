/** Whether a model fits into memory, asked before minutes of converting it: what is missing, and what would help. */
import { DraftplanError } from "../../core/errors.js";
import { gib } from "../../core/text.js";
import { type MemoryNeeds, type ModelNeeds, memoryNeeds, modelNeeds } from "../../model/needs.js";
import type { ModelSpec } from "../../model/spec.js";
import type { Kernel } from "../../schema/choice.js";
import type { Numerics } from "../../schema/numerics.js";
import { hostMemory } from "../host.js";
import { computesOn, isNvidia } from "../providers.js";
import { readGpu } from "./nvidia-smi.js";

/** Bytes that may be taken; null: nobody says, and nothing is refused for it. */
export interface FreeMemory {
  hostBytes: number;
  deviceBytes: number | null;
}

export const freeMemory = (provider: string): FreeMemory => ({
  hostBytes: hostMemory().availableBytes,
  deviceBytes: isNvidia(provider) ? (readGpu()?.freeBytes ?? null) : null,
});

/** What is asked of memory. */
export interface MemoryRequest {
  spec: ModelSpec;
  kernels: readonly Kernel[];
  numerics: Numerics;
  /** tokens that the KV cache holds */
  capacity: number;
}

/**
 * @param model as the user named it
 * @throws OUT_OF_MEMORY where the host or the device has less than the model needs at the least
 */
export function requireMemory(
  model: string,
  request: MemoryRequest,
  provider: string,
  free = freeMemory(provider),
): void {
  const needs = modelNeeds(request.spec, request.kernels, request.numerics);
  const memory = memoryNeeds(needs, request.capacity, computesOn(provider));
  const { hostBytes, deviceBytes } = memory;
  if (hostBytes > free.hostBytes) throw tooLarge(model, "memory", hostBytes, free.hostBytes, request, needs, memory);
  if (deviceBytes !== null && free.deviceBytes !== null && deviceBytes > free.deviceBytes)
    throw tooLarge(model, "the GPU's memory", deviceBytes, free.deviceBytes, request, needs, memory);
}

function tooLarge(
  model: string,
  where: string,
  needed: number,
  free: number,
  { kernels, capacity }: MemoryRequest,
  needs: ModelNeeds,
  { weightBytes, cacheBytes }: MemoryNeeds,
): DraftplanError {
  const missing = needed - free;
  const beside = kernels.filter((kernel) => kernel !== "target");
  const ofDrafts = beside.reduce((sum, kernel) => sum + (needs.weightBytes[kernel] ?? 0), 0);
  const remedies = [
    ...(cacheBytes >= missing
      ? [`lower --context (a token takes ${Math.ceil(needs.cacheBytesPerToken / 1024)} KiB)`]
      : []),
    ...(ofDrafts >= missing ? [`leave out kernels with --choices (${beside.join(", ")} take ${gib(ofDrafts)})`] : []),
    "free memory",
    "use a smaller model",
  ];
  return new DraftplanError({
    code: "OUT_OF_MEMORY",
    at: model,
    what: `needs about ${gib(needed)} of ${where}: ${gib(weightBytes)} of weights (${kernels.join(", ")}) and ${gib(cacheBytes)} of keys and values for ${capacity} tokens; ${gib(free)} may be used, ${gib(missing)} are missing`,
    remedy: `${capitalised(remedies.join(", or "))}. draftplan inspect says what each kernel and context takes.`,
  });
}

const capitalised = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
