/** The stage: a plan, a model and prompts in, figures out. Clock, engine and seed are arguments. */
import { DraftplanError } from "../core/errors.js";
import { type Progress, silentProgress } from "../core/progress.js";
import type { decode } from "../decode/loop.js";
import { type Opened, planPolicy } from "../decode/policy.js";
import { requireRoom } from "../decode/room.js";
import type { Clock, Engine } from "../runtime/engine.js";
import type { Plan } from "../schema/plan.js";
import { LEAST_UNITS } from "../stats/interval.js";
import { segmentsUpTo } from "./contexts.js";
import type { Drawing } from "./distribution/drawn.js";
import { type Figures, figuresOf, idsDigest } from "./figures.js";
import {
  type AlternativeModel,
  type Measuring,
  measurePrompt,
  type PromptRuns,
  type VerifyPrompt,
  warmUp,
} from "./measure.js";
import type { ReferenceCache } from "./reference.js";

export interface VerifyOptions {
  engine: Engine;
  clock: Clock;
  plan: Plan;
  /** where the plan came from, for errors and warnings */
  planPath: string;
  /** heads and models that are open, for plans in which they draft */
  open?: readonly Opened[];
  prompts: readonly VerifyPrompt[];
  /** tokens after each prompt, at least 2: the first comes from the prompt's pass and is not timed */
  maxTokens: number;
  /** tokens that end an output; the model's own unless given */
  endTokens?: readonly number[];
  /** interleaved runs of each prompt */
  pairs: number;
  /** how outputs are drawn; left out: greedily */
  drawing?: Drawing | undefined;
  /** of repetitions, in greedy decoding; left out: none */
  penalty?: number | undefined;
  /** cheaper models to decode with alone, for comparison */
  alternatives?: readonly AlternativeModel[];
  /** references of earlier verifications on this engine, and the place for those of this one */
  references?: ReferenceCache;
  /** what an interrupted run has done already, and where to keep what this one does */
  journal?: Journal;
  progress?: Progress;
  /** the decoder under test; tests plant faults here */
  decode?: typeof decode;
}

/** Prompts finished so far, so that an interrupted run can be gone on with. */
export interface Journal {
  /** [plans] by index of the prompt */
  readonly finished: ReadonlyMap<number, readonly PromptRuns[]>;
  /** interrupted runs that `finished` came from */
  readonly resumed: number;
  /** @param runs [plans] */
  record(index: number, runs: readonly PromptRuns[]): void;
}

export type VerifyResult = Figures & {
  pairs: number;
  max_tokens: number;
  prompts_sha256: string;
  resumed: number;
};

/**
 * Proves a plan, or refutes it. Each prompt is first continued by the target alone, one token a pass; then plain
 * decoding and the plan take turns at it (A B, B A, …), and every token the plan emits is judged.
 * @throws OPTION_INVALID, CONTEXT_LIMIT, TOKEN_IDS_INVALID, TEXT_TOO_SHORT; what planPolicy throws
 */
export async function verifyPlan({ plan, planPath, ...options }: VerifyOptions): Promise<VerifyResult> {
  const [result] = await verifyTogether(options, [{ plan, planPath }]);
  return result;
}

/** A plan among several, and where it came from, for errors and warnings. */
export type VerifiedPlan = Pick<VerifyOptions, "plan" | "planPath">;

/**
 * The same for several plans in one go, A B C D, D C B A, …: plain decoding is timed once for all of them, and what was
 * measured of one may be held against what was measured of another.
 * @returns [plans]
 */
export const verifyPlans = (
  options: Omit<VerifyOptions, keyof VerifiedPlan>,
  plans: readonly VerifiedPlan[],
): Promise<VerifyResult[]> => verifyTogether(options, plans);

async function verifyTogether(
  options: Omit<VerifyOptions, keyof VerifiedPlan>,
  plans: readonly VerifiedPlan[],
): Promise<VerifyResult[]> {
  const { engine, clock, prompts, maxTokens, pairs, alternatives = [], journal, progress = silentProgress } = options;
  requireUsable(options);
  const policies = plans.map(({ plan, planPath }) => {
    const onPast = (last: number) =>
      progress.warn(
        "PAST_LAST_SEGMENT",
        `${planPath} covers contexts up to ${last} tokens; nothing is drafted past them`,
      );
    return planPolicy(plan, engine.spec.layers, planPath, onPast, options.open);
  });
  const endTokens = options.endTokens ?? engine.spec.eosTokenIds;
  const measuring: Measuring = {
    ...{ engine, clock, policies, maxTokens, endTokens, pairs, prompts: prompts.length, alternatives, progress },
    ...{ drawing: options.drawing, penalty: options.penalty },
    references: options.references ?? new WeakMap(),
    ...(options.decode === undefined ? {} : { decode: options.decode }),
  };
  const total = prompts.length * (pairs + 1);
  await progress.tick({ stage: "verify", done: 0, total });
  const runs = await measureAll(measuring, prompts, journal);
  await progress.tick({ stage: "verify", done: total, total });
  const results = plans.map(({ plan }, i) => {
    const figures = figuresOf(segmentsUpTo(plan, engine.capacity), runs[i], alternatives, options);
    const made = { pairs, max_tokens: maxTokens, prompts_sha256: promptsDigest(prompts) };
    return { ...figures, ...made, resumed: journal?.resumed ?? 0 };
  });
  const few = results.find(({ speedup }) => speedup.low === null);
  if (few !== undefined) progress.warn("FEW_PROMPTS", fewPrompts(few.prompts));
  return results;
}

/** Why there is no interval, and what to do. */
function fewPrompts(prompts: Figures["prompts"]): string {
  const timed = prompts.filter(({ speedup }) => speedup !== null).length;
  return `${timed} of ${prompts.length} prompts could be timed, and an interval takes ${LEAST_UNITS}: speedups stand without one; give more prompts with --prompts FILE`;
}

/** Prompts that an interrupted run finished keep what it measured. @returns [plans][prompts] */
async function measureAll(
  measuring: Measuring,
  prompts: readonly VerifyPrompt[],
  journal: Journal | undefined,
): Promise<PromptRuns[][]> {
  const runs: PromptRuns[][] = measuring.policies.map(() => []);
  let warm = false;
  for (const [index, prompt] of prompts.entries()) {
    let measured = journal?.finished.get(index);
    if (measured === undefined) {
      if (!warm) await warmUp(measuring, prompt);
      warm = true;
      measured = await measurePrompt(measuring, prompt, index);
      journal?.record(index, measured);
    }
    measured.forEach((one, plan) => {
      runs[plan].push(one);
    });
  }
  return runs;
}

/** SHA-256 of the prompts' token ids as JSON, `[[1,2],[3]]`. */
export const promptsDigest = (prompts: readonly VerifyPrompt[]): string => idsDigest(prompts.map(({ ids }) => ids));

function requireUsable({
  engine,
  prompts,
  maxTokens,
  pairs,
}: Pick<VerifyOptions, "engine" | "prompts" | "maxTokens" | "pairs">): void {
  if (!Number.isInteger(maxTokens) || maxTokens < 2) {
    throw notAnOption("--max-tokens", `${maxTokens} tokens cannot be timed`, "Give a whole number of at least 2.");
  }
  if (!Number.isInteger(pairs) || pairs < 1)
    throw notAnOption("--pairs", `${pairs} pairs cannot be run`, "Give a whole number of at least 1.");
  if (prompts.length === 0) throw notAnOption("prompts", "there are none", "Give at least one prompt.");
  for (const { name, ids } of prompts) {
    requireRoom(engine, ids.length, maxTokens);
    const { vocabSize } = engine.spec;
    const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (bad === undefined) continue;
    throw new DraftplanError({
      code: "TOKEN_IDS_INVALID",
      at: `prompt '${name}'`,
      what: `${bad} is not a token of ${engine.spec.name}, whose ids go from 0 to ${vocabSize - 1}`,
      remedy: "Give ids made with this model's tokenizer.",
    });
  }
}

const notAnOption = (at: string, what: string, remedy: string) =>
  new DraftplanError({ code: "OPTION_INVALID", at, what, remedy });
