/** What two plans do differently, and what each predicts, context range by context range. */

import { blockChanges, describeChange } from "../check/changes.js";
import { isSameDevice } from "../check/model.js";
import { rangesOf } from "../check/predicted-speed.js";
import { DraftplanError } from "../core/errors.js";
import type { ChangedChoice } from "../schema/choice.js";
import { describeConstraints } from "../schema/constraints.js";
import { type Plan, predictedAt, predictionOf, type Segment, type Speed } from "../schema/plan.js";

/** Of the one plan and of the other. */
export interface Both<T> {
  before: T;
  after: T;
}

/** One range of contexts in which each plan has one segment. */
export interface RangeDifference {
  from: number;
  to: number;
  /** what is done or predicted is another */
  changed: boolean;
  /** in words; null: both do the same */
  change: string | null;
  /** the plan's part of the range lies beyond its profile */
  extrapolated: Both<boolean>;
  speculate: Both<boolean>;
  draft_tokens: Both<number | null>;
  /** every block that is run otherwise; none where either plan decodes plainly */
  blocks: ChangedChoice[];
  /** the context that the figures below are for */
  at_context: number;
  /** predicted; null where a plan predicts nothing, 1 for plain decoding */
  speedup: Both<number | null>;
  /** predicted; null where a plan predicts nothing or decodes plainly */
  tokens_per_second: Both<number | null>;
  acceptance: Both<number | null>;
}

export interface PlanDifference {
  changed: boolean;
  /** null: a plan does not record its device */
  same_device: boolean | null;
  /** what each plan's drafts must keep to, as options; null: the same */
  constraints: Both<string> | null;
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
  const ranges = rangesOf(before, after).map(({ from, to, before: old, after: now }) =>
    rangeDifference({ from, to }, { before: old.segment, after: now.segment }, before.model.layers),
  );
  const devices = [before.device, after.device] as const;
  const same = devices[0] === undefined || devices[1] === undefined ? null : isSameDevice(devices[0], devices[1]);
  const [old, now] = [before, after].map(({ constraints }) =>
    constraints ? describeConstraints(constraints) : "none",
  );
  const constraints = old === now ? null : { before: old, after: now };
  return {
    changed: constraints !== null || ranges.some(({ changed }) => changed),
    same_device: same,
    constraints,
    ranges,
  };
}

function rangeDifference(
  { from, to }: { from: number; to: number },
  segments: Both<Segment>,
  layers: number,
): RangeDifference {
  const at = contextIn(from, to, segments);
  const each = <T>(of: (segment: Segment) => T): Both<T> => ({
    before: of(segments.before),
    after: of(segments.after),
  });
  const difference = {
    change: describeChange(segments.before, segments.after, layers),
    extrapolated: each(({ extrapolated }) => extrapolated === true),
    speculate: each(({ speculate }) => speculate),
    draft_tokens: each(({ draft_tokens }) => draft_tokens ?? null),
    blocks: blockChanges(segments.before, segments.after, layers),
    at_context: at,
    speedup: each((segment) => (segment.speculate ? (speedAt(segment, at)?.speedup ?? null) : 1)),
    tokens_per_second: each((segment) => speedAt(segment, at)?.tokens_per_second ?? null),
    acceptance: each(({ predicted }) => predicted?.acceptance ?? null),
  };
  return { from, to, changed: isChanged(difference), ...difference };
}

/** What a segment is predicted to do at a context: null where nothing is. */
function speedAt(segment: Segment, at: number): Speed | null {
  const predicted = predictionOf(segment);
  return predicted === undefined ? null : predictedAt(predicted, at);
}

/** Where a plan predicts for a context of the range, that one, else its middle. */
function contextIn(from: number, to: number, { before, after }: Both<Segment>): number {
  const predicted = [after, before].flatMap((segment) => segment.predicted?.at_context ?? []);
  return predicted.find((n) => n >= from && n < to) ?? Math.round((from + to) / 2);
}

const differs = ({ before, after }: Both<unknown>): boolean => before !== after;

const isChanged = ({
  change,
  speedup,
  tokens_per_second,
  acceptance,
  extrapolated,
}: Omit<RangeDifference, "from" | "to" | "changed">): boolean =>
  change !== null || [speedup, tokens_per_second, acceptance, extrapolated].some(differs);
