/** Plans of all methods by turns on the same prompts, as rows of a comparison. */

import { DraftplanError } from "../../core/errors.js";
import type { Progress } from "../../core/progress.js";
import type { DraftPolicy, decode } from "../../decode/loop.js";
import { draftsBetween, type Opened, planPolicy } from "../../decode/policy.js";
import type { Clock, Engine } from "../../runtime/engine.js";
import type { ComparedContext, ComparedRow } from "../../schema/comparison.js";
import { type Plan, predictedAt, type Segment } from "../../schema/plan.js";
import type { Filters } from "../../schema/sampling.js";
import { plannedBy } from "../../solve/index.js";
import { LEAST_UNITS } from "../../stats/interval.js";
import {
  type ComparePoliciesOptions,
  comparePolicies,
  type PolicyFigures,
  type PromptPolicyRuns,
  policyFigures,
} from "../../verify/index.js";
import type { PredictedSpeed, Predictor } from "./predict.js";
import type { PromptsAt } from "./prompts.js";

export interface MethodPlan {
  method: string;
  plan: Plan;
  /** from what the method itself had measured */
  predictor: Predictor;
}

export interface RunRequest {
  engine: Engine;
  clock: Clock;
  /** `none` is among them */
  plans: readonly MethodPlan[];
  /** name of one of them */
  baseline: string;
  prompts: readonly PromptsAt[];
  maxTokens: number;
  pairs: number;
  timeLimitSeconds: number | null;
  /** heads that are open, for plans in which they draft */
  open?: readonly Opened[];
  /** how tokens are drawn, and a penalty of repetition otherwise; left out: neither */
  drawing?: { filters: Filters; seed: number } | undefined;
  penalty?: number | undefined;
  progress: Progress;
  /** of prompts' turns, as an interrupted run made them or made now */
  keep?: ComparePoliciesOptions["keep"];
  decode?: typeof decode;
}

/** One context with its rows; what the frontier adds is the caller's. */
export type RanContext = Pick<ComparedContext, "context_tokens" | "prompts" | "rows">;

/** Contexts that stand for all that are decoded behind a prompt: predictions are means over them. */
export function contextsAlong(contextTokens: number, maxTokens: number): number[] {
  const count = Math.min(ALONG, maxTokens);
  return Array.from({ length: count }, (_, i) => contextTokens + Math.floor(((i + 0.5) * maxTokens) / count));
}
const ALONG = 8;

/** The middle of what is decoded behind a prompt: a row's draft is the one there. */
export function middleOf(contextTokens: number, maxTokens: number): number {
  const contexts = contextsAlong(contextTokens, maxTokens);
  return contexts[contexts.length >> 1];
}

/** @throws TEXT_TOO_SHORT where no prompt was answered, or time ended before one was */
export async function runPlans(request: RunRequest): Promise<RanContext[]> {
  const { engine, clock, prompts, maxTokens, pairs, timeLimitSeconds, progress } = request;
  const arms = prompts.map((at) => armsAt(request, at));
  const ran = await comparePolicies({
    ...{ engine, clock, maxTokens, pairs, progress, drawing: request.drawing, penalty: request.penalty },
    keep: request.keep,
    endTokens: engine.spec.eosTokenIds,
    limitUs: timeLimitSeconds === null ? null : 1e6 * timeLimitSeconds,
    contexts: prompts.map((at, i) => ({ prompts: at.prompts, policies: arms[i].policies })),
    ...(request.decode === undefined ? {} : { decode: request.decode }),
  });
  const all = ran.flatMap((turns, i) => (turns.length === 0 ? [] : [contextOf(request, prompts[i], arms[i], turns)]));
  warnOfMissing(request, ran);
  const few = all.filter(({ prompts }) => prompts.length < LEAST_UNITS);
  if (few.length > 0)
    progress.warn(
      "FEW_PROMPTS",
      `at context ${few.map(({ context_tokens }) => context_tokens).join(", ")} fewer than ${LEAST_UNITS} prompts were timed, so figures stand without an interval; give more prompts, or more time with --time`,
    );
  if (all.length > 0) return all;
  throw new DraftplanError({
    code: "TEXT_TOO_SHORT",
    at: "prompts",
    what: "no prompt was answered by more than one token, or time ended before one was",
    remedy: "Give more time with --time, or prompts that the model goes on from with --prompts FILE.",
  });
}

interface Arms {
  policies: DraftPolicy[];
  /** [plans] index into policies */
  of: number[];
  /** [policies] contexts from which another draft is used */
  changes: number[][];
}

/** Plans that draft alike at all contexts of these prompts are run once. */
function armsAt({ plans, engine, maxTokens, open }: RunRequest, { prompts }: PromptsAt): Arms {
  const lengths = prompts.map(({ ids }) => ids.length);
  const [from, to] = [Math.min(...lengths), Math.max(...lengths) + maxTokens];
  const known = new Map<string, number>();
  const arms: Arms = { policies: [], of: [], changes: [] };
  for (const { plan, method } of plans) {
    const policy = planPolicy(plan, engine.spec.layers, `plan of ${method}`, undefined, open);
    const drafts = draftsBetween(policy, from, to);
    const behaviour = drafts.map(({ at, key }) => `${at} ${key}`).join(";");
    const index = known.get(behaviour) ?? arms.policies.length;
    if (index === arms.policies.length) {
      arms.policies.push(policy);
      arms.changes.push(drafts.slice(1).map(({ at }) => at));
    }
    known.set(behaviour, index);
    arms.of.push(index);
  }
  return arms;
}

function contextOf(request: RunRequest, at: PromptsAt, arms: Arms, turns: readonly PromptPolicyRuns[]): RanContext {
  const { plans, baseline } = request;
  const armOf = (name: string) => arms.of[plans.findIndex(({ method }) => method === name)];
  const figures = policyFigures(turns, { plain: armOf("none"), baseline: armOf(baseline) });
  return {
    context_tokens: at.contextTokens,
    prompts: turns.map(({ prompt, reference }) => ({
      prompt: prompt.name,
      prompt_tokens: prompt.ids.length,
      tokens: reference.length,
    })),
    rows: plans.map((plan, i) => {
      const arm = arms.of[i];
      const first = arms.of.indexOf(arm);
      const changes = arms.changes[arm];
      return {
        ...rowOf(plan, at.contextTokens, request, figures[arm]),
        ...(changes.length === 0 ? {} : { draft_changes_at: changes }),
        ...(first === i ? {} : { same_draft_as: plans[first].method }),
      };
    }),
  };
}

function rowOf(
  { method, plan, predictor }: MethodPlan,
  contextTokens: number,
  { engine, maxTokens, open }: RunRequest,
  figures: PolicyFigures,
): ComparedRow {
  const at = `plan of ${method}`;
  const policy = planPolicy(plan, engine.spec.layers, at, undefined, open);
  const predicted = predictor.along(
    contextsAlong(contextTokens, maxTokens),
    policy,
    (n) => {
      const segment = segmentAt(plan, n);
      return segment === undefined ? null : plannedBy(segment, engine.spec.layers, at);
    },
    (n) => earlyAt(plan, n),
  );
  const { meanDraftTokens: mean_draft_tokens } = figures;
  const weighed = plan.segments.some(({ stop }) => stop !== undefined);
  const { acceptance, tokensPerSecond, speedup, baselineRatio, lossless, ties, usPerToken } = figures;
  return {
    method,
    ...draftKeys(segmentAt(plan, middleOf(contextTokens, maxTokens))),
    predicted: predicted === null ? null : predictedRecord(predicted),
    measured: {
      ...{ acceptance, tokens_per_second: tokensPerSecond, speedup, baseline_speed_ratio: baselineRatio },
      ...(weighed ? { mean_draft_tokens } : {}),
    },
    prediction_error_percent:
      predicted === null ? null : 100 * (predicted.tokensPerSecond / tokensPerSecond.median - 1),
    ...{ lossless, ties, us_per_token: usPerToken },
  };
}

/** What a draft that ends early is predicted to reach at a context; null where none does, or nothing is predicted. */
function earlyAt(plan: Plan, n: number): PredictedSpeed | null {
  const { stop, predicted } = segmentAt(plan, n) ?? {};
  if (stop?.rule !== "early" || stop.predicted === undefined || predicted === undefined) return null;
  const { acceptance_curve: curve, draft_lengths: lengths } = stop.predicted;
  // tokens put to the test at position i: rounds that draft so many, all before it accepted
  const goingOn = lengths.map((_, i) => 1 - lengths.slice(0, i).reduce((sum, share) => sum + share, 0));
  const tried = goingOn.reduce((sum, share, i) => sum + Math.min(share, curve[i]), 0);
  const { tokens_per_second: tokensPerSecond, speedup } = predictedAt(stop.predicted, n);
  const acceptance = (stop.predicted.accepted_length - 1) / tried;
  return { acceptance, draftUs: predicted.draft_us, tokensPerSecond, speedup };
}

const segmentAt = ({ segments }: Plan, n: number): Segment | undefined =>
  segments.find(({ context_tokens: { to } }) => n < to);

function draftKeys(segment: Segment | undefined): Pick<ComparedRow, "drafter" | "draft" | "draft_tokens" | "stop"> {
  if (segment?.speculate !== true || segment.draft_tokens === undefined) return {};
  const { drafter, draft, draft_tokens, stop } = segment;
  if (stop?.rule === "early")
    return { ...draftKeys({ ...segment, draft_tokens: stop.draft_tokens, stop: undefined }), stop: "early" };
  return { ...(drafter === undefined ? {} : { drafter }), ...(draft === undefined ? {} : { draft }), draft_tokens };
}

const predictedRecord = ({ acceptance, draftUs, tokensPerSecond, speedup }: PredictedSpeed) => ({
  acceptance,
  draft_us: draftUs,
  tokens_per_second: tokensPerSecond,
  speedup,
});

/** Fewer runs than asked for make wider intervals, and a context without any is not in the table. */
function warnOfMissing(
  { prompts, pairs, timeLimitSeconds, progress }: RunRequest,
  ran: readonly PromptPolicyRuns[][],
): void {
  if (timeLimitSeconds === null) return;
  const wanted = pairs * prompts.reduce((sum, at) => sum + at.prompts.length, 0);
  const done = ran.flat().reduce((sum, { runs }) => sum + runs[0].length, 0);
  if (done < wanted)
    progress.warn(
      "COMPARISON_CUT_SHORT",
      `time ended after ${done} of ${wanted} turns of all plans; intervals are wider`,
    );
}
