/** draftplan plan diff: what two plans do differently, and what each predicts, context range by context range. */
import { describeChange } from "../check/changes.js";
import { isSameDevice } from "../check/model.js";
import { rangesOf } from "../check/predicted-speed.js";
import { DraftplanError } from "../core/errors.js";
import { readDocumentOf } from "../schema/document.js";
import type { Plan, Segment } from "../schema/plan.js";
import type { CommandContext } from "./context.js";

/** One range of contexts in which each plan has one segment. */
export interface RangeDifference {
  from: number;
  to: number;
  /** null: both do the same */
  change: string | null;
  /** predicted; null where a plan predicts nothing, 1 for plain decoding */
  speedup: { before: number | null; after: number | null };
}

export interface PlanDifference {
  same_device: boolean;
  ranges: RangeDifference[];
}

/** @throws DOCUMENT_MISMATCH where the plans are of different architectures: their blocks have nothing in common */
export function planDifference(before: Plan, after: Plan): PlanDifference {
  if (before.model.architecture_sha256 !== after.model.architecture_sha256) {
    throw new DraftplanError({
      code: "DOCUMENT_MISMATCH",
      at: "plan diff",
      what: `the plans are of different models: ${before.model.name} and ${after.model.name}`,
      remedy: "Give two plans of the same model.",
    });
  }
  const ranges = rangesOf(before, after).map(({ from, to, before: old, after: now }) => ({
    from,
    to,
    change: describeChange(old.segment, now.segment, before.model.layers),
    speedup: { before: speedupOf(old.segment), after: speedupOf(now.segment) },
  }));
  const devices = [before.device, after.device] as const;
  const same = devices[0] !== undefined && devices[1] !== undefined && isSameDevice(devices[0], devices[1]);
  return { same_device: same, ranges };
}

const speedupOf = ({ speculate, predicted }: Segment): number | null => (speculate ? (predicted?.speedup ?? null) : 1);

export function planDiffCommand(before: string, after: string, context: CommandContext): void {
  const [old, now] = [before, after].map((path) => readDocumentOf("draftplan/plan", path).document);
  const difference = planDifference(old, now);
  context.print(context.json ? JSON.stringify(difference) : differenceText(difference));
}

export function differenceText({ same_device, ranges }: PlanDifference): string {
  const changed = ranges.filter(({ change, speedup }) => change !== null || speedup.before !== speedup.after);
  const device = same_device
    ? []
    : ["The plans were not made on the same device, or one does not record it: their speeds are not comparable."];
  if (changed.length === 0) return [...device, "Nothing changed."].join("\n");
  const show = (value: number | null) => (value === null ? "unknown" : value.toFixed(2));
  const lines = changed.map(({ from, to, change, speedup }) => {
    const speeds = `predicted speedup ${show(speedup.before)} -> ${show(speedup.after)}`;
    return `context ${from} to ${to}: ${change ?? "the same draft"}; ${speeds}`;
  });
  return [...device, ...lines].join("\n");
}
