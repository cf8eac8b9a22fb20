/**
 * Profile and calibration joined into what the solver works on: blocks with costs at a context and losses there.
 * Pure: the same two documents give the same problem.
 */
import type { Calibration, CalibrationContext } from "../schema/calibration.js";
import {
  blockKind,
  blockLayer,
  blockName,
  type Choice,
  type ChoiceSet,
  choiceKey,
  expandDraft,
  type HeadKernel,
  headKernels,
  type SpannedKernel,
  suits,
} from "../schema/choice.js";
import type { Extrapolated } from "../schema/common.js";
import type { Constraints } from "../schema/constraints.js";
import { isStandalone } from "../schema/draft-cache.js";
import type { HeadsCalibration, HeadsContext } from "../schema/heads-calibration.js";
import { MAX_DRAFT_TOKENS } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import type { ConfidenceTable } from "../schema/stop/confidence.js";
import type { LookupCalibration } from "../schema/text-calibration.js";
import { type BatchLatency, openBatches } from "./batch/latency.js";
import { type Limits, resolveConstraints, satisfies } from "./constraints.js";
import { guessedAt, type KnownModel, modelsOfBoth } from "./drafting/documents.js";
import type { GuessedText } from "./drafting/evidence.js";
import { contextsBeyond, extendProfile, extrapolatedRange } from "./extrapolate.js";
import { requireChoices, requireJoinable } from "./inputs/joinable.js";
import type { Group } from "./knapsack/group.js";
import { type LatencyModel, openLatency } from "./latency.js";
import { withReading } from "./own-cache/reading.js";
import { resampledLatencies } from "./resample.js";
import { type KnownHeads, LEAST_ROUNDS } from "./trees/heads.js";
import { RankPaths } from "./trees/rank-paths.js";

export interface SolveInput {
  profile: Profile;
  calibration: Calibration;
  /** what the draft may do with a block besides running it as the target does */
  choices: readonly Exclude<Choice, "target">[];
  /** what a self draft must keep to besides */
  constraints?: Constraints | undefined;
  /** what may draft; undefined: whatever both documents have measured */
  drafters?: readonly DrafterKind[] | undefined;
  /** context to draw costs on to, where the profile ends before it; undefined: not beyond the profile */
  extrapolateTo?: number | undefined;
  /** drafts of the model's own blocks have a cache of their own: only curves measured so count */
  standalone?: boolean | undefined;
  /** tokens of an answer that the reading of its prompt is shared by; undefined: as many as the calibration's continuations */
  answerTokens?: number | undefined;
}

/** What drafts, by its word in plans and on the command line. */
export const DRAFTER_KINDS = ["self", "lookup", "model", "heads", "hybrid"] as const;
export type DrafterKind = (typeof DRAFTER_KINDS)[number];

/** A draft whose acceptance was measured at one context. */
export interface MeasuredSet {
  set: ChoiceSet;
  key: string;
  part: "choose" | "report";
  /** positions behind the curve */
  tokens: number;
  /** [d+1] */
  curve: readonly number[];
  /** [d] rounds that came to each position; undefined: they were not counted */
  reached: readonly number[] | undefined;
  /** [d] standard error of the tokens of a round, by its length; undefined: not counted */
  lengthErrors?: readonly number[] | undefined;
  /** [d][ranks] what siblings of the last of so many tokens are worth; undefined: not looked at */
  siblings?: readonly (readonly number[])[] | undefined;
  /** acceptance by the draft's confidence; undefined: not looked at */
  confidence?: ConfidenceTable | undefined;
}

/** The longest draft that a measured curve supports; 0: none. Of uncounted rounds nothing is known against any length. */
export function supportedLength({ curve, reached }: Pick<MeasuredSet, "curve" | "reached">): number {
  const length = curve.length - 1;
  return reached === undefined
    ? length
    : Math.min(length, reached.findLastIndex((rounds) => rounds >= LEAST_ROUNDS) + 1);
}

/** The ranks that heads gave one part of a context's text, along it and counted. */
export interface RankedText {
  along: HeadsContext;
  counted: RankPaths;
}

/** One calibrated context and the contexts it stands for. */
export interface ContextData {
  losses: CalibrationContext;
  measured: MeasuredSet[];
  /** by the heads' digest: the ranks that they gave the text, by its part */
  heads: ReadonlyMap<string, Partial<Record<MeasuredSet["part"], RankedText>>>;
  /** what a lookup and other models guess of the text, by its part */
  guessed: Partial<Record<MeasuredSet["part"], GuessedText>>;
  /** contexts [from, to) that this one is nearest to, on a logarithmic scale */
  from: number;
  to: number;
}

export interface Problem {
  /** drafts that were not measured are no candidates: the surrogate's best is the knapsack's, and no other method's */
  measuredOnly?: boolean;
  /** drafts have a cache of their own, and an answer so many tokens; null: they read the target's */
  standalone: { answerTokens: number; bytesPerTokenAndLayer: number | null } | null;
  layers: number;
  choices: readonly Exclude<Choice, "target">[];
  /** what may draft */
  drafters: readonly DrafterKind[];
  /** heads that both documents have measured */
  heads: readonly KnownHeads[];
  /** whether trees of lookups and of the model's own blocks are weighed: they were timed, and nothing rules them out */
  trees: boolean;
  /** what was looked up; null: the calibration has none, or no lookup may draft */
  lookup: LookupCalibration | null;
  /** models that both documents have measured, a kernel each */
  models: readonly KnownModel[];
  /** what every draft keeps to; measured drafts that do not are not in `contexts` */
  limits: Limits;
  latency: LatencyModel;
  /** several sequences at once, by rising batch; none where the profile has one alone */
  batches: readonly BatchLatency[];
  /** latencies of the profile's resamples; none where it has none. Formed when first asked for: only predictions do */
  resampled: () => readonly LatencyModel[];
  /** longest draft a plan may have: what the format allows and the profile covers */
  maxDraft: number;
  /** profiled contexts, rising */
  gridContexts: number[];
  /** what is drawn on beyond them; undefined: nothing */
  extrapolated: Extrapolated | undefined;
  contexts: ContextData[];
}

/**
 * @throws DOCUMENT_MISMATCH where the documents do not belong together, CHOICE_UNAVAILABLE where one lacks a choice,
 *   what resolveConstraints throws
 */
export function openProblem({
  profile,
  calibration,
  choices,
  constraints,
  drafters = DRAFTER_KINDS,
  extrapolateTo,
  standalone = false,
  answerTokens = calibration.text.continuation_tokens,
}: SolveInput): Problem {
  requireJoinable(profile, calibration);
  if (drafters.includes("self")) requireChoices(profile, calibration, choices);
  const heads = drafters.includes("heads") ? headsOfBoth(profile, calibration) : [];
  const models =
    drafters.includes("model") || drafters.includes("hybrid") ? modelsOfBoth(profile, calibration, constraints) : [];
  const lookup = calibration.lookup ?? null;
  const layers = profile.model.layers;
  const allowed = new Set<Choice>(["target", ...choices]);
  const limits = resolveConstraints(constraints, profile, choices);
  const usable = (set: ChoiceSet) =>
    allowed.has(set.head) && set.blocks.every((choice) => allowed.has(choice)) && satisfies(limits, set);
  const contexts = calibration.contexts.map(countedTogether).map((losses, i): ContextData => {
    const before = calibration.contexts[i - 1]?.at_context;
    const after = calibration.contexts[i + 1]?.at_context;
    const measured = calibration.measured
      .filter((record) => record.at_context === losses.at_context && isStandalone(record) === standalone)
      .map((record, j) => {
        const set = expandDraft(record.draft, layers, `calibration: measured[${j}].draft`);
        const { part, tokens, curve, reached, length_errors: lengthErrors, siblings, confidence } = record;
        return { set, key: choiceKey(set), part, tokens, curve, reached, lengthErrors, siblings, confidence };
      })
      .filter(({ set }) => usable(set));
    return {
      losses,
      measured,
      heads: new Map(heads.map((one) => [one.sha256, pathsAt(one, losses.at_context)])),
      guessed: guessedAt(calibration, losses.at_context),
      from: before === undefined ? 0 : middle(before, losses.at_context),
      to: after === undefined ? Number.POSITIVE_INFINITY : middle(losses.at_context, after),
    };
  });
  const extended = extendProfile(profile, extrapolateTo);
  const reading = (one: LatencyModel) =>
    standalone ? withReading(one, extended.grid.context_tokens, 2 * layers, answerTokens) : one;
  const latency = reading(openLatency(extended));
  const maxDraft = Math.min(MAX_DRAFT_TOKENS, latency.maxDraftTokens);
  let drawn: readonly LatencyModel[] | undefined;
  const resampled = () => (drawn ??= resampledLatencies(profile, extrapolateTo).map(reading));
  const gridContexts = [...profile.grid.context_tokens];
  const extrapolated = extrapolatedRange(profile, extrapolateTo);
  const bytesPerTokenAndLayer = profile.floor?.kv_bytes_per_token ?? null;
  return {
    // what single blocks lose over the target's cache orders drafts, and predicts none with a cache of its own
    ...(standalone ? { measuredOnly: true } : {}),
    standalone: standalone ? { answerTokens, bytesPerTokenAndLayer } : null,
    layers,
    choices,
    drafters,
    heads,
    trees: latency.treesTimed && constraints?.chains !== true,
    lookup,
    models,
    limits,
    latency,
    batches: openBatches(profile, latency),
    resampled,
    maxDraft,
    gridContexts,
    extrapolated,
    contexts,
  };
}

/** Losses of spans as they count in a draft with many: sums of what single layers lose overstate (calibrate/together.ts). */
function countedTogether(context: CalibrationContext): CalibrationContext {
  const { together } = context;
  if (together === undefined) return context;
  const attn = { ...context.attn };
  for (const span of Object.keys(together) as SpannedKernel[]) {
    const factor = together[span]?.factor ?? 1;
    attn[span] = attn[span]?.map((one) => ({ loss: factor * one.loss, standard_error: factor * one.standard_error }));
  }
  return { ...context, attn };
}

/** Heads whose accuracy and whose passes were both measured. */
export const headsOfBoth = (profile: Profile, calibration: Calibration): HeadsCalibration[] =>
  (calibration.heads ?? []).filter(({ sha256 }) => profile.heads?.some((other) => other.sha256 === sha256));

/** The ranks that heads gave the text of the context nearest to this one, by the ratio of contexts; of equal ones the longer. */
function pathsAt({ contexts }: HeadsCalibration, context: number): Partial<Record<MeasuredSet["part"], RankedText>> {
  const distance = (at: number) => Math.abs(Math.log((at + 1) / (context + 1)));
  return Object.fromEntries(
    (["choose", "report"] as const).flatMap((part) => {
      const measured = contexts.filter((one) => one.part === part);
      if (measured.length === 0) return [];
      const along = measured.reduce((a, b) => (distance(b.at_context) <= distance(a.at_context) ? b : a));
      return [[part, { along, counted: new RankPaths(along.paths, along.positions) }]];
    }),
  );
}

/** Every context that a plan is solved at: those profiled, then those drawn on. */
export const plannedContexts = ({ gridContexts, extrapolated }: Problem): number[] =>
  extrapolated === undefined ? gridContexts : [...gridContexts, ...contextsBeyond(extrapolated)];

/** Geometric middle of two contexts: latencies and losses change with their ratio. */
export const middle = (a: number, b: number): number => Math.round(Math.sqrt(Math.max(1, a) * b));

export function contextFor(problem: Problem, n: number): ContextData {
  return problem.contexts.find((context) => n < context.to) ?? problem.contexts[problem.contexts.length - 1];
}

const lossOf = (context: CalibrationContext, index: number, choice: Choice): number =>
  choice === "target" ? 0 : (context[blockKind(index)][choice]?.[blockLayer(index)].loss as number);

const headLoss = (context: CalibrationContext, kernel: HeadKernel): number =>
  kernel === "target" ? 0 : (context.head[kernel]?.loss as number);

/** Σ ℓ over blocks and head: the surrogate of −ln α. */
export function surrogateLoss(context: CalibrationContext, set: ChoiceSet): number {
  const blocks = set.blocks.reduce((sum, choice, index) => sum + lossOf(context, index, choice), 0);
  return blocks + headLoss(context, set.head);
}

/** The multiple-choice knapsack at context n, constraints aside: a group a block, and one for the head. */
export function groupsAt(problem: Problem, n: number): Group[] {
  const { losses } = contextFor(problem, n);
  const { latency, layers } = problem;
  const blocks = Array.from({ length: 2 * layers }, (_, index) => ({
    id: blockName(index),
    choices: (["target", ...problem.choices] as Choice[])
      .filter((choice) => suits(choice, blockKind(index)))
      .map((choice) => ({
        id: choice as string,
        costUs: choice === "skip" ? 0 : latency.blockUs(index, choice, n, 1),
        loss: lossOf(losses, index, choice),
      })),
  }));
  const kernels = headKernels(["target", ...problem.choices]);
  const head = {
    id: "head",
    choices: kernels.map((kernel) => ({
      id: kernel as string,
      costUs: latency.headUs(kernel, n, 1),
      loss: headLoss(losses, kernel),
    })),
  };
  return [...blocks, head];
}

export function toChoiceSet(chosen: readonly string[]): ChoiceSet {
  return { blocks: chosen.slice(0, -1) as Choice[], head: chosen[chosen.length - 1] as HeadKernel };
}
