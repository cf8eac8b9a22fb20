/**
 * What a pass over several sequences costs (docs/method.md, "Several sequences at once"). Each measured batch is a latency
 * model of its own; between two of them every time is a straight line in the batch. Where a batch has whole passes alone, a
 * part of a pass over q tokens takes the share of it that it takes for one sequence:
 *
 *     t_part(B, n, q) = t_part(1, n, q) · whole(B, n, q) / Σ_parts t_part(1, n, q)
 *
 * For a draft made of whole layers of the target that is the ratio of the layers, up to embedding and head.
 */
import { type BatchPoint, type BatchProfile, contextsOfBatch } from "../../schema/batch-profile.js";
import type { Profile, ProfilePoint } from "../../schema/profile.js";
import { sum } from "../../stats/numbers.js";
import { type LatencyModel, openLatency } from "../latency.js";

/** One measured batch. */
export interface BatchLatency {
  batch: number;
  latency: LatencyModel;
  /** the longest context that it was measured at */
  toContext: number;
}

/** By rising batch; batch 1, which is the profile itself, first. None where no further batch was measured. */
export function openBatches(profile: Profile, alone: LatencyModel): BatchLatency[] {
  const { batches = [], grid } = profile;
  if (batches.length === 0) return [];
  const last = grid.context_tokens[grid.context_tokens.length - 1];
  return [{ batch: 1, latency: alone, toContext: last }, ...batches.map((batch) => openBatch(profile, batch))];
}

function openBatch(profile: Profile, measured: BatchProfile): BatchLatency {
  const contexts = contextsOfBatch(profile, measured);
  const alone = new Map(profile.points.map((point) => [placeOf(point), point]));
  const points = measured.points.map((point) => batchPoint(point, alone.get(placeOf(point)) as ProfilePoint));
  const { query_line: _, ...rest } = profile; // its steps were measured for one sequence
  const { round_us, step_us } = profile.loop;
  const own: Profile = {
    ...rest,
    grid: { ...profile.grid, context_tokens: contexts },
    points,
    loop: { round_us: measured.round_us ?? round_us, step_us: measured.step_us ?? step_us },
  };
  return {
    batch: measured.batch,
    latency: openLatency(own, `profile: batch ${measured.batch}`),
    toContext: contexts[contexts.length - 1],
  };
}

const placeOf = (point: { context_tokens: number; query_tokens: number }): string =>
  `${point.context_tokens} ${point.query_tokens}`;

/** A point of a batch with all its parts. */
function batchPoint(point: BatchPoint, alone: ProfilePoint): ProfilePoint {
  const { fixed_us, head_us, attn_us, mlp_us, whole_target_us } = point;
  if (fixed_us !== undefined && head_us !== undefined && attn_us !== undefined && mlp_us !== undefined)
    return { ...point, fixed_us, head_us, attn_us, mlp_us, residual_percent: 0 };
  const blocks = sum(alone.attn_us.target ?? []) + sum(alone.mlp_us.target ?? []);
  const total = alone.fixed_us + (alone.head_us.target ?? 0) + blocks;
  const factor = total === 0 ? 0 : whole_target_us / total;
  const each = (parts: Readonly<Record<string, readonly number[] | undefined>>) =>
    Object.fromEntries(Object.entries(parts).map(([kernel, us = []]) => [kernel, us.map((x) => x * factor)]));
  return {
    context_tokens: point.context_tokens,
    query_tokens: point.query_tokens,
    fixed_us: total === 0 ? whole_target_us : alone.fixed_us * factor,
    head_us: Object.fromEntries(Object.entries(alone.head_us).map(([kernel, us = 0]) => [kernel, us * factor])),
    attn_us: each(alone.attn_us),
    mlp_us: each(alone.mlp_us),
    whole_target_us,
    residual_percent: 0,
  };
}
