/** What two plans do differently, in words. */

import type { Both, PlanDifference, RangeDifference } from "../pipeline/plan-difference.js";
import { formatPercent } from "./format.js";

const DEVICE: Record<"other" | "unknown", string> = {
  other: "The plans were made on different devices: their tokens per second do not compare.",
  unknown: "A plan does not record its device: the tokens per second may be of different devices.",
};

export function differenceText({ changed, same_device, constraints, ranges }: PlanDifference): string {
  const known = same_device === null ? "unknown" : "other";
  const device = same_device === true || (same_device === null && !changed) ? [] : [DEVICE[known]];
  if (!changed) return [...device, "Nothing changed."].join("\n");
  const kept = constraints === null ? [] : [`constraints: ${constraints.before} -> ${constraints.after}`];
  return [...device, ...kept, ...ranges.filter((range) => range.changed).map(rangeText)].join("\n");
}

const EXTRAPOLATED: Record<"both" | "before" | "after", string> = {
  both: " (extrapolated)",
  before: " (extrapolated before, profiled after)",
  after: " (profiled before, extrapolated after)",
};

function extrapolatedText({ before, after }: Both<boolean>): string {
  if (!before && !after) return "";
  return EXTRAPOLATED[before && after ? "both" : before ? "before" : "after"];
}

function rangeText({ from, to, change, at_context, extrapolated, ...figures }: RangeDifference): string {
  const shown = (pair: Both<number | null>, show: (value: number) => string): string => {
    const [before, after] = [pair.before, pair.after].map((value) => (value === null ? "unknown" : show(value)));
    return `${before} -> ${after}`;
  };
  const isKnown = ({ before, after }: Both<number | null>) => before !== null && after !== null;
  const { speedup, tokens_per_second: speed, acceptance } = figures;
  const parts = [
    `predicted speedup ${shown(speedup, (value) => value.toFixed(2))}`,
    ...(isKnown(speed) ? [`${shown(speed, (value) => value.toFixed(1))} tokens/s`] : []),
    ...(isKnown(acceptance) ? [`acceptance ${shown(acceptance, formatPercent)}`] : []),
  ];
  return `context ${from} to ${to}${extrapolatedText(extrapolated)}: ${change ?? "the same draft"}\n  at ${at_context}: ${parts.join(", ")}`;
}
