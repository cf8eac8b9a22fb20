/**
 * How far each part of a step is from the physical floor: what it reads of memory, over the bandwidth at which memory can
 * be read (core/floor.ts). Far above 1, memory is not what holds the part up; below 1, it was read from a cache.
 */

import { mean } from "simple-statistics";
import { floorUs } from "../core/floor.js";
import { KERNEL_NAMES } from "../schema/choice.js";
import type { Floor, Profile } from "../schema/profile.js";
import { significant } from "../stats/numbers.js";

type FloorPart = Floor["parts"][number];

/**
 * @param kvBytesPerToken    keys and values of one layer
 * @param readBytesPerSecond measured on this device with the profile's threads
 */
export function memoryFloor(
  { points, weight_bytes: weights, experts }: Pick<Profile, "points" | "weight_bytes" | "experts">,
  kvBytesPerToken: number,
  readBytesPerSecond: number,
): Floor {
  const parts: FloorPart[] = [];
  for (const { query_tokens, context_tokens, attn_us, mlp_us, head_us } of points) {
    if (query_tokens !== 1) continue;
    for (const kernel of KERNEL_NAMES) {
      const add = (part: FloorPart["part"], us: number | undefined, bytes: number | undefined, cacheBytes = 0) => {
        if (us === undefined || bytes === undefined) return;
        const floor = floorUs(bytes + cacheBytes, readBytesPerSecond);
        const rounded = { floor_us: significant(floor, 4), times_floor: significant(us / floor, 4) };
        parts.push({ part, kernel, context_tokens, ...rounded });
      };
      add("attn", meanOf(attn_us[kernel]), weights?.attn[kernel], context_tokens * kvBytesPerToken);
      add("mlp", meanOf(mlp_us[kernel]), readOf(weights?.mlp[kernel], experts));
      add("head", head_us[kernel], weights?.head[kernel]);
    }
  }
  return {
    read_bytes_per_second: Math.round(readBytesPerSecond),
    kv_bytes_per_token: kvBytesPerToken,
    parts,
  };
}

/** Bytes of an MLP that one token reads. */
const readOf = (bytes: number | undefined, experts: Profile["experts"]): number | undefined =>
  bytes === undefined || experts === undefined ? bytes : (bytes * experts.per_token) / experts.count;

const meanOf = (us: readonly number[] | undefined): number | undefined =>
  us === undefined ? undefined : mean([...us]);
