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
