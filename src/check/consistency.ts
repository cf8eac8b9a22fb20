/** What can be said of a document by itself, without those it was made from. */
import type { Calibration } from "../schema/calibration.js";
import type { Kernel } from "../schema/choice.js";
import type { Plan } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import { calibrationBlockFindings, draftFindings } from "./blocks.js";
import { comparisonFindings } from "./comparison.js";
import type { Checked } from "./documents.js";
import { exportFindings } from "./export.js";
import { type Finding, finding } from "./findings.js";
import { predictedFindings } from "./predicted-figures.js";
import { figureFindings } from "./verification-figures.js";
import { tokenFindings } from "./verification-tokens.js";

export function consistencyFindings({ file, document }: Checked): Finding[] {
  const { layers } = document.model;
  switch (document.kind) {
    case "draftplan/plan":
      return [
        ...document.segments.flatMap(({ draft }, i) =>
          draft === undefined ? [] : draftFindings(file, draft, layers, `segments[${i}].draft`),
        ),
        ...predictedFindings(file, document),
        ...extrapolatedFindings(file, document),
      ];
    case "draftplan/calibration":
      return [
        ...calibrationBlockFindings(file, document),
        ...document.measured.flatMap(({ draft }, i) => draftFindings(file, draft, layers, `measured[${i}].draft`)),
        ...contextFindings(file, document),
      ];
    case "draftplan/verification":
      return [...tokenFindings(file, document), ...figureFindings(file, document)];
    case "draftplan/export":
      return exportFindings(file, document);
    case "draftplan/comparison":
      return comparisonFindings(file, document);
    case "draftplan/targets":
      return []; // its schema holds the ways to the targets and to the verdict
    case "draftplan/profile":
      // its schema holds the points to the grid and to the layers; measurements cannot be derived
      return floorFindings(file, document);
  }
}

/** The plan is as it should be; that part of it was never measured is for whoever reads the check to know. */
function extrapolatedFindings(file: string, { extrapolated }: Plan): Finding[] {
  if (extrapolated === undefined) return [];
  const { beyond_context_tokens: beyond, to_context_tokens: to } = extrapolated;
  const message = `nothing was profiled beyond ${beyond} tokens of context: what the plan does and predicts from there to ${to} is extrapolated`;
  return [finding("PLAN_EXTRAPOLATED", file, "extrapolated", message)];
}

/** A part below its floor may have been read from a cache; at 0 µs it was drowned by other work, and a plan would take it for free. */
function floorFindings(file: string, { points, weight_bytes: weights }: Profile): Finding[] {
  const found = new Map<string, Finding>();
  points.forEach((point, i) => {
    for (const part of ["attn", "mlp", "head"] as const) {
      const times: Partial<Record<string, number | readonly number[]>> = point[`${part}_us`];
      for (const [kernel, us] of Object.entries(times)) {
        const bytes = weights?.[part][kernel as Kernel];
        const layers = typeof us === "number" ? [us] : (us ?? []);
        const isNothing = layers.length > 0 && layers.every((each) => each === 0);
        const key = `${part}_us.${kernel}`;
        if (!isNothing || bytes === 0 || found.has(key)) continue;
        const why = `${part} in ${kernel} takes 0 µs at ${point.context_tokens} tokens of context, less than reading its weights takes: the machine was busy while it was measured`;
        found.set(key, finding("PROFILE_BELOW_FLOOR", file, `points[${i}].${key}`, why));
      }
    }
  });
  return [...found.values()];
}

/** Calibrated contexts rise, and whole drafts were measured at them only. */
function contextFindings(file: string, { contexts, measured }: Calibration): Finding[] {
  const wrong = (where: string, message: string) => finding("DOCUMENT_INCONSISTENT", file, where, message);
  const known = new Set<number>();
  const found: Finding[] = [];
  contexts.forEach(({ at_context: at }, i) => {
    const before = contexts[i - 1]?.at_context;
    if (before !== undefined && at <= before)
      found.push(wrong(`contexts[${i}].at_context`, `${at} follows ${before}, and contexts rise`));
    known.add(at);
  });
  const stray = measured.findIndex(({ at_context }) => !known.has(at_context));
  if (stray !== -1) {
    const message = `${measured[stray].at_context} tokens is none of the contexts that losses were measured at`;
    found.push(wrong(`measured[${stray}].at_context`, message));
  }
  return found;
}

const BLOCK_FAULTS: readonly string[] = ["BLOCK_UNKNOWN", "BLOCK_DUPLICATE", "BLOCK_MISSING"];

/** Are the blocks that a document names those of its model? Only then can its drafts be expanded. */
export const hasKnownBlocks = (own: readonly Finding[]): boolean =>
  own.every(({ code }) => !BLOCK_FAULTS.includes(code));
