/** The memory floor beside a profile that was just measured. */
import { storedHeadDim } from "../../model/graph/heads.js";
import type { ModelSpec } from "../../model/spec.js";
import { memoryFloor } from "../../profile/floor.js";
import { bytesToRead, measureReadBandwidth } from "../../runtime/bandwidth.js";
import { systemClock } from "../../runtime/device.js";
import { availableMemoryBytes, lastLevelCacheBytes } from "../../runtime/memory.js";
import { loadOrt } from "../../runtime/ort-api.js";
import { FLOAT_BYTES } from "../../schema/numerics.js";
import type { Profile } from "../../schema/profile.js";
import type { PipelineContext } from "../context.js";

const BUDGET_US = 300_000;
/** Keys and values of one token in one layer, as they lie in the cache of the CPU. */
const kvBytesPerToken = (spec: ModelSpec): number => 2 * spec.kvHeads * storedHeadDim(spec) * FLOAT_BYTES.fp32;

/**
 * Measured before a sweep, as it counts towards the time for all measuring.
 * @returns bytes per second; null on another device than the CPU, whose memory cannot be measured from here, and where
 *   memory has no room for enough to read
 */
export function readBandwidth({
  provider,
  threads,
  ortLibrary,
}: Pick<PipelineContext, "provider" | "threads" | "ortLibrary">): number | null {
  if (provider !== "cpu") return null;
  const bytes = bytesToRead(lastLevelCacheBytes(threads), availableMemoryBytes());
  if (bytes === null) return null;
  const request = { threads, bytes, budgetUs: BUDGET_US };
  return measureReadBandwidth(loadOrt(ortLibrary), request, systemClock).bytesPerSecond;
}

/** Adds `floor`; without a bandwidth a profile is a profile too. */
export const withFloor = (profile: Profile, spec: ModelSpec, bytesPerSecond: number | null): Profile =>
  bytesPerSecond === null
    ? profile
    : { ...profile, floor: memoryFloor(profile, kvBytesPerToken(spec), bytesPerSecond) };

/** The same for other costs on the same device: a slice that was scaled to the whole model. */
export const floorAgain = (profile: Profile): Profile =>
  profile.floor === undefined
    ? profile
    : {
        ...profile,
        floor: memoryFloor(profile, profile.floor.kv_bytes_per_token, profile.floor.read_bytes_per_second),
      };
