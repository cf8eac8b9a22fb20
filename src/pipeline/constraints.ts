/** Options that limit what a draft may be, as a plan writes them. */
import type { Constraints } from "../schema/constraints.js";

export interface ConstraintOptions {
  wholeLayers?: boolean;
  /** layers and blocks */
  keep?: string[];
  keepFirstAttention?: boolean;
  maxSkip?: number;
  /** MiB */
  draftMemory?: number;
}

/** As the options of `solve` that ask for it: `--keep 0,29 --max-skip 6`. */
export function describeConstraints(constraints: Constraints): string {
  const { whole_layers, keep, keep_first_attention, max_skip, draft_memory_mib } = constraints;
  return [
    ...(whole_layers === true ? ["--whole-layers"] : []),
    ...(keep === undefined ? [] : [`--keep ${keep.join(",")}`]),
    ...(keep_first_attention === true ? ["--keep-first-attention"] : []),
    ...(max_skip === undefined ? [] : [`--max-skip ${max_skip}`]),
    ...(draft_memory_mib === undefined ? [] : [`--draft-memory ${draft_memory_mib}`]),
  ].join(" ");
}

/** @returns undefined where nothing is asked for */
export function toConstraints(options: ConstraintOptions): Constraints | undefined {
  const { wholeLayers, keep = [], keepFirstAttention, maxSkip, draftMemory } = options;
  const constraints: Constraints = {
    ...(wholeLayers === true ? { whole_layers: true as const } : {}),
    ...(keep.length === 0 ? {} : { keep: [...new Set(keep)] }),
    ...(keepFirstAttention === true ? { keep_first_attention: true as const } : {}),
    ...(maxSkip === undefined ? {} : { max_skip: maxSkip }),
    ...(draftMemory === undefined ? {} : { draft_memory_mib: draftMemory }),
  };
  return Object.keys(constraints).length === 0 ? undefined : constraints;
}
