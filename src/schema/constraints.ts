/** What drafts must keep to besides the choices: what an engine cannot do, or has no room for. */
import { z } from "zod";
import { KernelName } from "./common.js";

export const Constraints = z
  .strictObject({
    whole_layers: z.literal(true).optional().describe("attention and MLP of a layer have the same choice"),
    keep: z
      .array(z.string().max(20))
      .min(1)
      .max(2048)
      .optional()
      .describe("layers (`29`) and blocks (`5.attn`) that are never skipped"),
    keep_first_attention: z.literal(true).optional().describe("0.attn is never skipped"),
    chains: z
      .literal(true)
      .optional()
      .describe("lookups and the model's own blocks draft no trees: the engine verifies chains alone"),
    model_kernels: z
      .array(KernelName)
      .min(1)
      .max(16)
      .optional()
      .describe("another model drafts in these kernels alone: the engine has no others"),
    max_skip: z.int().min(0).max(2048).optional().describe("blocks skipped at most; a whole layer is two blocks"),
    draft_memory_mib: z
      .number()
      .nonnegative()
      .max(2 ** 30)
      .optional()
      .describe("a draft's quantised copies of weights take at most so much, in MiB of 2^20 bytes"),
  })
  .refine((constraints) => Object.keys(constraints).length > 0, "no constraint is named; leave the key out");
export type Constraints = z.infer<typeof Constraints>;

/** As the options of `solve` that ask for it: `--keep 0,29 --max-skip 6`. */
export function describeConstraints(constraints: Constraints): string {
  const { whole_layers, keep, keep_first_attention, chains, model_kernels, max_skip, draft_memory_mib } = constraints;
  return [
    ...(whole_layers === true ? ["--whole-layers"] : []),
    ...(keep === undefined ? [] : [`--keep ${keep.join(",")}`]),
    ...(keep_first_attention === true ? ["--keep-first-attention"] : []),
    ...(chains === true ? ["chains alone (--for)"] : []),
    ...(model_kernels === undefined ? [] : [`another model in ${model_kernels.join(" or ")} alone (--for)`]),
    ...(max_skip === undefined ? [] : [`--max-skip ${max_skip}`]),
    ...(draft_memory_mib === undefined ? [] : [`--draft-memory ${draft_memory_mib}`]),
  ].join(" ");
}
