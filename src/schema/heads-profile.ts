/** What heads and other models take on a device, and what a tree's verification takes beside a chain's. */
import { z } from "zod";
import { KernelName, Us } from "./common.js";
import { HeadsKind, HeadsRef, MAX_DRAFT_TOKENS, MAX_HEAD_RANKS, ModelDrafter } from "./drafter.js";

/** [draws] what each draw of the profile makes of a value, as factors (schema/profile.ts) */
const Factors = z.array(z.number().nonnegative()).min(1).max(1000);

const HeadsPass = z.strictObject({
  depth: z
    .int()
    .min(0)
    .max(MAX_DRAFT_TOKENS - 1)
    .optional()
    .describe("of the drafted tokens, from 0; absent: all heads in one pass"),
  rows: z.int().positive().describe("nodes that are gone on from"),
  us: Us,
  passes: z.int().positive().describe("timed passes behind it"),
  resampled: Factors.optional(),
});
export type HeadsPass = z.infer<typeof HeadsPass>;

export const HeadsProfile = z
  .strictObject({
    ...HeadsRef.shape,
    kind: HeadsKind,
    heads: z.int().min(1).max(MAX_DRAFT_TOKENS),
    ranks: z.int().min(1).max(MAX_HEAD_RANKS),
    passes: z
      .array(HeadsPass)
      .min(1)
      .max(1000)
      .describe("medusa: one, all heads for one row; hydra: one a depth and number of rows, rows rising"),
  })
  .superRefine(({ kind, heads, passes }, context) => {
    const issue = (message: string, ...path: (string | number)[]) =>
      context.addIssue({ code: "custom", message, path });
    const last = new Map<number | undefined, number>();
    passes.forEach(({ depth, rows }, i) => {
      if (depth !== undefined && depth >= heads) issue(`depth ${depth}, and there are ${heads} heads`, "passes", i);
      if (rows <= (last.get(depth) ?? 0)) issue("the rows of a depth must rise", "passes", i, "rows");
      last.set(depth, rows);
    });
    if (!last.has(undefined)) {
      if (kind === "medusa") issue("a pass of all heads (one without a depth) is missing", "passes");
      for (let depth = 0; depth < heads; depth++) if (!last.has(depth)) issue(`depth ${depth} is missing`, "passes");
    }
  });
export type HeadsProfile = z.infer<typeof HeadsProfile>;

/**
 * The pass of a tree over the pass of a chain of as many rows: same tokens, same cache, timed side by side. The chain's
 * cost stands in `points` and `query_line`.
 */
export const TreePass = z.strictObject({
  context_tokens: z.int().min(0),
  query_tokens: z.int().positive().describe("q, rows of both passes: nodes + 1"),
  times_chain: z.number().positive().describe("tree over chain"),
  pairs: z.int().positive().describe("timed side by side"),
  resampled: Factors.optional(),
});
export type TreePass = z.infer<typeof TreePass>;

interface Measured {
  grid: { context_tokens: readonly number[]; query_tokens: readonly number[] };
  points: readonly { resampled?: { whole_target: readonly number[] } | undefined }[];
  heads?: readonly HeadsProfile[] | undefined;
  tree_passes?: readonly TreePass[] | undefined;
}

/** Each place of the grid at most once, and as many draws as the rest of the profile has. */
export function treePassFaults({ grid, points, heads = [], tree_passes = [] }: Measured) {
  const faults: { message: string; path: (string | number)[] }[] = [];
  const known = new Set<string>();
  tree_passes.forEach(({ context_tokens: n, query_tokens: q }, i) => {
    const message = `${n} tokens of context with ${q} in the pass is not on the grid, or is there twice`;
    if (!grid.context_tokens.includes(n) || !grid.query_tokens.includes(q) || known.has(`${n} ${q}`))
      faults.push({ message, path: ["tree_passes", i] });
    known.add(`${n} ${q}`);
  });
  const draws = points[0]?.resampled?.whole_target.length;
  const differs = (resampled: readonly number[] | undefined) => resampled !== undefined && resampled.length !== draws;
  const message = "it must have as many draws as the points have";
  tree_passes.forEach(({ resampled }, i) => {
    if (differs(resampled)) faults.push({ message, path: ["tree_passes", i, "resampled"] });
  });
  heads.forEach(({ passes }, h) => {
    passes.forEach(({ resampled }, i) => {
      if (differs(resampled)) faults.push({ message, path: ["heads", h, "passes", i, "resampled"] });
    });
  });
  return faults;
}

/** What a step of another model takes on a device, behind a verification as in decoding. */
export const ModelProfile = z.strictObject({
  ...ModelDrafter.omit({ kind: true, kernel: true }).shape,
  kernel: KernelName,
  steps: z
    .array(
      z.strictObject({
        context_tokens: z.int().min(0),
        us: z.number().positive().describe("one draft step, median"),
        passes: z.int().positive().describe("timed steps behind it"),
      }),
    )
    .min(1)
    .max(256)
    .refine(
      (steps) => steps.every((step, i) => i === 0 || step.context_tokens > steps[i - 1].context_tokens),
      "contexts must rise",
    ),
});
export type ModelProfile = z.infer<typeof ModelProfile>;
