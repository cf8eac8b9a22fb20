/**
 * What `generate --adapt` may choose from, at the latencies of the plan's own profile: drafts of the model's own blocks that
 * the plan's calibration measured, the heads and models that the plan has open, lookups, and a lookup in front of any.
 */
import { Adaptation, type AdaptiveRange, rehearse } from "../../decode/adaptive/adaptation.js";
import type { AdaptiveLatency } from "../../decode/adaptive/arms.js";
import { selfChoices } from "../../decode/drafters/self.js";
import type { Opened } from "../../decode/policy.js";
import type { Calibration } from "../../schema/calibration.js";
import { type DraftChoice, draftChoices } from "../../schema/choice.js";
import type { Plan } from "../../schema/plan.js";
import type { Profile } from "../../schema/profile.js";
import {
  DRAFTER_KINDS,
  type DrafterKind,
  mainOf,
  openProblem,
  type PlannedDraft,
  type Problem,
  plannedBy,
  plannedContexts,
} from "../../solve/index.js";
import { DrafterShelf } from "./adaptive-arms.js";
import { rangeOf } from "./adaptive-range.js";

/** @returns what makes the adaptation of the drafters that were opened for the plan */
export function openAdaptation(
  plan: Plan,
  profile: Profile,
  calibration: Calibration,
  at: string,
): (open: readonly Opened[]) => Adaptation {
  const planned = plan.segments.map((segment, i) =>
    plannedBy(segment, plan.model.layers, `${at}: segments[${i}].draft`),
  );
  const drafters = kindsOf(plan, planned);
  const choices = choicesOf(plan, planned);
  const extrapolateTo = plan.extrapolated?.to_context_tokens;
  const { constraints } = plan;
  const problem = openProblem({ profile, calibration, choices, constraints, drafters, extrapolateTo });
  return (open) => {
    const shelf = new DrafterShelf(open);
    const ranges = plan.segments.flatMap((segment, i) => {
      const { from, to } = segment.context_tokens;
      return problem.contexts
        .filter((context) => context.from < to && context.to > from)
        .map((context) => rangeOf({ problem, calibration, context, segment, planned: planned[i], shelf }));
    });
    const latency = latencyOf(problem, ranges);
    rehearse(ranges, latency);
    return new Adaptation(ranges, latency);
  };
}

/** Those that the solver weighed, and those that the plan has. */
function kindsOf(plan: Plan, planned: readonly (PlannedDraft | null)[]): DrafterKind[] {
  const used = planned.flatMap((draft) => (draft === null ? [] : [draft.drafter.kind, mainOf(draft.drafter).kind]));
  const weighed = DRAFTER_KINDS.filter((kind) => (plan.drafters ?? ["self"]).includes(kind));
  return [...new Set<DrafterKind>([...weighed, ...used])];
}

/** What the solver had; in a plan written by hand, what the plan itself uses. */
function choicesOf(plan: Plan, planned: readonly (PlannedDraft | null)[]): DraftChoice[] {
  const used = new Set<string>(plan.choices);
  for (const draft of planned) {
    const main = draft === null ? null : mainOf(draft.drafter);
    if (main?.kind === "self") for (const choice of [...main.set.blocks, main.set.head]) used.add(choice);
  }
  return draftChoices(used);
}

/**
 * The profile's latencies, read off it once: between two profiled contexts every one is a straight line in n. A profile
 * says nothing past its last context or its longest pass; there the last value holds, for all arms alike.
 */
function latencyOf(problem: Problem, ranges: readonly AdaptiveRange[]): AdaptiveLatency {
  const { latency, maxDraft } = problem;
  const contexts = plannedContexts(problem);
  const line = (at: (n: number) => number) => lineThrough(contexts, contexts.map(at));
  const sets = new Set(ranges.flatMap(({ drafts }) => drafts.flatMap(({ drafter }) => selfChoices(drafter) ?? [])));
  const drafts = new Map([...sets].map((set) => [set, line((n) => latency.draftUs(set, n))]));
  const verify = Array.from({ length: maxDraft + 1 }, (_, d) => line((n) => latency.verifyUs(n, d)));
  const trees = new Map<number, (n: number) => number>();
  return {
    draftUs: (choices, n) =>
      drafts.get(choices)?.(n) ?? latency.draftUs(choices, Math.min(n, latency.contextTokens.to)),
    verifyUs: (n, d) => verify[Math.min(d, maxDraft)](n),
    verifyTreeUs(n, nodes) {
      const most = Math.min(nodes, latency.maxTreeNodes);
      const known = trees.get(most) ?? line((at) => latency.verifyTreeUs(at, most));
      trees.set(most, known);
      return known(n);
    },
    modelUs: (sha256, kernel, n) => latency.modelUs(sha256, kernel, n),
    headsUs: (sha256, rows) => latency.headsUs(sha256, rows),
    stepUs: line((n) => latency.stepUs(n)),
    roundUs: latency.roundUs,
  };
}

/** A function of straight pieces through [at, value], level before the first and after the last. */
function lineThrough(at: readonly number[], values: readonly number[]): (n: number) => number {
  return (n) => {
    const after = at.findIndex((point) => n < point);
    if (after <= 0) return values[after === 0 ? 0 : at.length - 1];
    const share = (n - at[after - 1]) / (at[after] - at[after - 1]);
    return (1 - share) * values[after - 1] + share * values[after];
  };
}
