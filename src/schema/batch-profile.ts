/**
 * What passes over several sequences at once take, as another engine measured them. Batch 1 is the profile itself; every
 * further batch has the query lengths of the profile's grid and its contexts up to some one, since long contexts of many
 * sequences may not fit into memory.
 */
import { z } from "zod";
import { KernelName, Us } from "./common.js";

/** Sequences in one pass at most. */
export const MAX_BATCH = 8192;
/** Batches of one profile at most. */
const MAX_BATCHES = 64;

/** µs per layer [L], for each kernel that was measured */
const PerLayer = z.partialRecord(KernelName, z.array(Us));

const BatchPoint = z.strictObject({
  context_tokens: z.int().min(0).describe("n, tokens in the KV cache of each sequence before the pass"),
  query_tokens: z.int().positive().describe("q, tokens of each sequence in the pass"),
  whole_target_us: Us.describe("one pass of the target over all sequences of the batch"),
  fixed_us: Us.optional(),
  head_us: z.partialRecord(KernelName, Us).optional(),
  attn_us: PerLayer.optional(),
  mlp_us: PerLayer.optional(),
});
export type BatchPoint = z.infer<typeof BatchPoint>;

export const BatchProfile = z.strictObject({
  batch: z.int().min(2).max(MAX_BATCH).describe("sequences in one pass"),
  parts: z
    .enum(["measured", "scaled"])
    .describe("measured: points have the parts of a pass; scaled: whole passes alone, and parts grow with them"),
  points: z.array(BatchPoint).min(1).max(10_000),
  round_us: Us.optional().describe("what the loop adds to a round of the batch; absent: as for one sequence"),
  step_us: Us.optional().describe("what it adds to a plain step of the batch; absent: as for one sequence"),
});
export type BatchProfile = z.infer<typeof BatchProfile>;

export const BatchProfiles = z.array(BatchProfile).min(1).max(MAX_BATCHES);

/** What a profile says of itself, as far as its batches must fit it. */
interface Measured {
  grid: { context_tokens: readonly number[]; query_tokens: readonly number[] };
  model: { layers: number };
  batches?: readonly BatchProfile[] | undefined;
}

/** Contexts at which a batch was measured: the first ones of the grid. */
export function contextsOfBatch({ grid }: Measured, { points }: BatchProfile): number[] {
  const longest = Math.max(...points.map(({ context_tokens }) => context_tokens));
  return grid.context_tokens.filter((n) => n <= longest);
}

/** Batches rise, and each has every query length at every context that it reaches, once, with all parts or none. */
export function batchFaults(profile: Measured): { message: string; path: (string | number)[] }[] {
  const { batches = [], grid, model } = profile;
  return batches.flatMap((measured, b) => {
    const found: { message: string; path: (string | number)[] }[] = [];
    const fault = (message: string, ...path: (string | number)[]) =>
      found.push({ message, path: ["batches", b, ...path] });
    if (b > 0 && measured.batch <= batches[b - 1].batch) fault("the batches do not rise", "batch");
    const places = contextsOfBatch(profile, measured).flatMap((n) => grid.query_tokens.map((q) => `${n} ${q}`));
    const open = new Set(places);
    measured.points.forEach((point, i) => {
      const [n, q] = [point.context_tokens, point.query_tokens];
      if (!open.delete(`${n} ${q}`))
        fault(`${n} tokens of context with ${q} in the pass is not on the grid, or is there twice`, "points", i);
      for (const message of partFaults(point, measured.parts, model.layers)) fault(message, "points", i);
    });
    for (const place of open) {
      const [n, q] = place.split(" ");
      fault(`no point for ${n} tokens of context with ${q} in the pass`, "points");
    }
    return found;
  });
}

function partFaults(point: BatchPoint, parts: BatchProfile["parts"], layers: number): string[] {
  const { fixed_us, head_us, attn_us, mlp_us } = point;
  const given = [fixed_us, head_us, attn_us, mlp_us].filter((part) => part !== undefined).length;
  if (parts === "scaled") return given === 0 ? [] : ["it has parts, and the batch says that they are scaled"];
  if (given < 4 || [head_us, attn_us, mlp_us].some((part) => part?.target === undefined))
    return ["the target's own parts are missing"];
  const lists = [attn_us, mlp_us].flatMap((part) => Object.values(part ?? {}));
  return lists.some(({ length }) => length !== layers) ? [`a part has not the model's ${layers} layers`] : [];
}
