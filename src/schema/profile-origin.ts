/** Where the costs of a profile come from, where they were not measured on a model of one's own. */
import { z } from "zod";
import { Sha256 } from "./common.js";

/** Weights that were made up from a configuration: latency does not depend on their values. */
export const Synthetic = z.strictObject({
  config_sha256: Sha256.describe("of the config.json"),
  seed: z.int(),
});

/** A slice was measured, and its costs stand for the whole model (profile/scale.ts). */
export const Scaled = z
  .strictObject({
    layers_measured: z
      .int()
      .positive()
      .describe("distinct layers that were measured; their mean stands for each of `layers`"),
    layers: z.int().positive(),
    vocabulary_measured: z.int().positive().describe("rows of the head; its cost grows in proportion to them"),
    vocabulary: z.int().positive(),
    weight_bytes: z.int().positive().describe("of the slice, all kernels together"),
    cache_bytes: z.int().positive().nullable().describe("last-level cache of the processor; null: not known"),
    memory_bytes: z.int().positive().describe("what might be used"),
  })
  .refine(
    (s) => s.layers_measured <= s.layers && s.vocabulary_measured <= s.vocabulary,
    "more was measured than the model has",
  );

/** Latencies that another engine measured, read from a table. */
export const Imported = z.strictObject({
  source: z.string().max(200).describe("name of the file"),
  sha256: Sha256,
  whole_pass: z
    .enum(["measured", "summed"])
    .describe("where whole_target_us comes from: the table, or the sum of its parts"),
});
