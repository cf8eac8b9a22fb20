/** What `generate --adapt` may choose from: the drafts of a plan's own calibration, at the latencies of its own profile. */
import {
  Adaptation,
  type AdaptiveDraft,
  type AdaptiveLatency,
  type AdaptiveRange,
  rehearse,
} from "../../decode/adaptive/adaptation.js";
import { selfChoices, selfDrafter } from "../../decode/drafters/self.js";
import type { Calibration } from "../../schema/calibration.js";
import { CHOICES, type Choice, type ChoiceSet, choiceKey, expandDraft } from "../../schema/choice.js";
import { isStandalone } from "../../schema/draft-cache.js";
import type { Plan, Segment } from "../../schema/plan.js";
import type { Profile } from "../../schema/profile.js";
import {
  type ContextData,
  curveFromRate,
  expectedRate,
  fitCorrection,
  openProblem,
  type Problem,
  plannedContexts,
  surrogateLoss,
} from "../../solve/index.js";

type DraftChoice = Exclude<Choice, "target">;

/** A measured acceptance curve and the tokens behind it. */
interface Evidence {
  set: ChoiceSet;
  curve: readonly number[];
  tokens: number;
}

/** Tokens that a curve counts for where it was not measured at this context. */
const UNMEASURED_TOKENS = 30;
/** Standard deviation of ln(hazard) by which a draft does better or worse on some text, were its own hazard known. */
const OWN_SPREAD = 0.2;

export function openAdaptation(plan: Plan, profile: Profile, calibration: Calibration, at: string): Adaptation {
  const layers = plan.model.layers;
  const planned = plan.segments.map(({ draft }, i) =>
    draft === undefined ? null : expandDraft(draft, layers, `${at}: segments[${i}].draft`),
  );
  const choices = choicesOf(plan, planned);
  const extrapolateTo = plan.extrapolated?.to_context_tokens;
  const problem = openProblem({ profile, calibration, choices, constraints: plan.constraints, extrapolateTo });
  const ranges = plan.segments.flatMap((segment, i) => {
    const { from, to } = segment.context_tokens;
    return problem.contexts
      .filter((context) => context.from < to && context.to > from)
      .map((context) => rangeOf(problem, calibration, context, segment, planned[i]));
  });
  const latency = latencyOf(problem, ranges);
  rehearse(ranges, latency);
  return new Adaptation(ranges, latency);
}

/** What the solver had; in a plan written by hand, what the plan itself uses. */
function choicesOf(plan: Plan, planned: readonly (ChoiceSet | null)[]): DraftChoice[] {
  const used = new Set<string>(plan.choices);
  for (const set of planned) for (const choice of set === null ? [] : [...set.blocks, set.head]) used.add(choice);
  return CHOICES.filter((choice): choice is DraftChoice => choice !== "target" && used.has(choice));
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
  return {
    draftUs: (choices, n) =>
      drafts.get(choices)?.(n) ?? latency.draftUs(choices, Math.min(n, latency.contextTokens.to)),
    verifyUs: (n, d) => verify[Math.min(d, maxDraft)](n),
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

function rangeOf(
  problem: Problem,
  calibration: Calibration,
  context: ContextData,
  segment: Segment,
  plannedSet: ChoiceSet | null,
): AdaptiveRange {
  const to = Math.min(segment.context_tokens.to, context.to);
  const evidence = measuredAt(problem, calibration, context);
  const d = segment.draft_tokens ?? 0;
  if (plannedSet !== null && !evidence.has(choiceKey(plannedSet)))
    evidence.set(choiceKey(plannedSet), unmeasured(problem, context, segment, plannedSet));
  const longest = Math.max(problem.maxDraft, d);
  const all = [...evidence.values()].map((found) => adaptiveDraft(found, longest));
  const plannedKey = plannedSet === null ? null : choiceKey(plannedSet);
  const middle = Math.min(problem.latency.contextTokens.to, Math.max(segment.context_tokens.from, context.from));
  const drafts = worthRunning(problem, all, middle, plannedKey);
  const draft = drafts.find(({ key }) => key === plannedKey);
  return { to, drafts, planned: draft === undefined ? null : { draft, draftTokens: d } };
}

/** Every draft measured at a context; where it was both chosen on and reported, both are evidence. */
function measuredAt(problem: Problem, calibration: Calibration, context: ContextData): Map<string, Evidence> {
  const usable = new Set(context.measured.map(({ key }) => key));
  const found = new Map<string, Evidence>();
  calibration.measured.forEach((record, i) => {
    const { at_context, draft, curve, tokens } = record;
    if (at_context !== context.losses.at_context || isStandalone(record)) return;
    const set = expandDraft(draft, problem.layers, `calibration: measured[${i}].draft`);
    const key = choiceKey(set);
    if (!usable.has(key) || curve.length < 2 || !differs(set)) return;
    const known = found.get(key);
    found.set(key, known === undefined ? { set, curve, tokens } : pooled(known, { set, curve, tokens }));
  });
  return found;
}

/** A draft that is the target itself gains nothing, and would be judged by latencies' noise alone. */
const differs = ({ blocks, head }: ChoiceSet): boolean => head !== "target" || blocks.some((c) => c !== "target");

/** Chances of each position averaged by the tokens behind them. */
function pooled(a: Evidence, b: Evidence): Evidence {
  const tokens = a.tokens + b.tokens;
  const [long, short] = a.curve.length >= b.curve.length ? [a, b] : [b, a];
  const curve = [1];
  for (let i = 1; i < long.curve.length; i++) {
    const c = stepOf(long.curve, i);
    const other = i < short.curve.length ? stepOf(short.curve, i) : null;
    const mean = other === null ? c : (c * long.tokens + other * short.tokens) / tokens;
    curve.push(curve[i - 1] * mean);
  }
  return { set: a.set, curve, tokens };
}

/** chance of position i, given those before it */
const stepOf = (curve: readonly number[], i: number): number => (curve[i - 1] === 0 ? 0 : curve[i] / curve[i - 1]);

/** The plan's own curve, or, where it has none, the surrogate's. */
function unmeasured(problem: Problem, context: ContextData, { predicted }: Segment, set: ChoiceSet): Evidence {
  if (predicted !== undefined && predicted.acceptance_curve.length > 1)
    return { set, curve: predicted.acceptance_curve, tokens: UNMEASURED_TOKENS };
  const rate = expectedRate(fitCorrection(context), surrogateLoss(context.losses, set));
  return { set, curve: curveFromRate(rate, problem.maxDraft), tokens: UNMEASURED_TOKENS };
}

/**
 * Hazards of a curve. A curve of few tokens is noise at every single position, so each is drawn halfway to the pooled
 * one; and a curve without any rejection has seen at most half of one.
 */
function adaptiveDraft({ set, curve, tokens }: Evidence, longest: number): AdaptiveDraft {
  const accepted = curve.slice(1).reduce((sum, a) => sum + a, 0);
  const tried = curve.slice(0, -1).reduce((sum, a) => sum + a, 0);
  const rejections = tokens * (1 - accepted / tried);
  const hazard = -Math.log1p(-Math.min(0.999, (rejections + 0.5) / (tokens + 1)));
  const hazards = Array.from({ length: longest }, (_, i) => {
    const own = i + 1 < curve.length ? -Math.log(Math.max(0.001, stepOf(curve, i + 1))) : hazard;
    return (own + hazard) / 2;
  });
  const drafter = selfDrafter(set);
  return { key: drafter.key, drafter, hazards, spread: Math.sqrt(OWN_SPREAD ** 2 + 1 / (rejections + 2)) };
}

/** Drafts that no other beats in both time and acceptance, and the plan's own. */
function worthRunning(
  problem: Problem,
  drafts: readonly AdaptiveDraft[],
  contextTokens: number,
  plannedKey: string | null,
): AdaptiveDraft[] {
  const loss = ({ hazards }: AdaptiveDraft) => hazards.reduce((sum, h) => sum + h, 0);
  const byTime = drafts
    .map((draft) => ({ draft, us: draft.drafter.costUs(problem.latency, contextTokens, 1), loss: loss(draft) }))
    .sort((a, b) => a.us - b.us || a.loss - b.loss);
  let least = Number.POSITIVE_INFINITY;
  const kept: AdaptiveDraft[] = [];
  for (const { draft, loss } of byTime) {
    if (loss < least || draft.key === plannedKey) kept.push(draft);
    least = Math.min(least, loss);
  }
  return kept;
}
