/** The runs a verification is made of. Only what happened is recorded here; figures.ts says what it means. */
import type { Progress } from "../core/progress.js";
import { type Decoded, type DecodeOptions, type DraftPolicy, decode } from "../decode/loop.js";
import { draftsBetween } from "../decode/policy.js";
import type { Clock, Engine } from "../runtime/engine.js";
import { argmax } from "../runtime/engine.js";
import type { ChoiceSet } from "../schema/choice.js";
import type { ChiSquare } from "../stats/chi-square.js";
import { seededRandom } from "../stats/random.js";
import { type Drawing, drawnDistributions, isDrawnFrom, samplingOfRun } from "./distribution/drawn.js";
import { byTurns, thereAndBack } from "./interleave.js";
import { commonPrefix, type Verdict } from "./judge.js";
import { type ReferenceCache, referenceOutput } from "./reference.js";
import { type OutputLimits, teacherForced } from "./target-passes.js";
import { worstRun } from "./worst-run.js";

export interface VerifyPrompt {
  /** for people: its beginning */
  name: string;
  /** [promptTokens] token ids */
  ids: readonly number[];
}

/** A cheaper model that could be decoded with alone. */
export interface AlternativeModel {
  name: string;
  choices: ChoiceSet;
}

/** One prompt, decoded every way. */
export interface PromptRuns {
  prompt: VerifyPrompt;
  /** the target's own greedy output, decoded before anything else ran */
  reference: readonly number[];
  /** what the plan emitted; where its runs differ, the output that `verdict` is about */
  output: readonly number[];
  verdict: Verdict;
  /** [pairs] */
  plain: Decoded[];
  /** [pairs]; the very same runs as `plain` where the plan drafts nothing at this prompt's contexts */
  plan: Decoded[];
  alternatives: AlternativeRuns[];
  /** [TOLD_TOKENS] how texts drawn from the prompt begin; empty where none were, left out where nothing is drawn at all */
  distribution?: ChiSquare[] | undefined;
}

export interface AlternativeRuns {
  /** [pairs] */
  runs: Decoded[];
  /** positions where it chooses the target's token, given the target's own tokens before */
  agreeing: number;
  positions: number;
  /** tokens before its own output first differs from the target's */
  prefix: number;
}

export interface Measuring extends OutputLimits {
  engine: Engine;
  clock: Clock;
  /** of the plans that are verified side by side */
  policies: readonly DraftPolicy[];
  alternatives: readonly AlternativeModel[];
  pairs: number;
  /** prompts in all, for the progress bar */
  prompts: number;
  progress: Progress;
  references: ReferenceCache;
  /** the decoder under test */
  decode?: typeof decode;
  /** how outputs are drawn; left out: greedily */
  drawing?: Drawing | undefined;
}

type Arm = Pick<DecodeOptions, "policy" | "verifier">;

const WARM_UP_TOKENS = 8;

/** Runs that no figure contains: first passes of a choice read its weights for the first time. */
export async function warmUp(measuring: Measuring, prompt: VerifyPrompt): Promise<void> {
  const { engine, clock, endTokens, progress } = measuring;
  const maxTokens = Math.min(WARM_UP_TOKENS, measuring.maxTokens);
  const sampling = drawnBy(measuring, 0, 2);
  for (const arm of [{ policy: null }, ...planArms(measuring), ...alternativeArms(measuring)]) {
    await decode(engine, prompt.ids, { clock, maxTokens, endTokens, progress, ...sampling, ...arm });
  }
}

/**
 * Decodes one prompt every way and judges what the plans emitted. All take turns at it, so what is told of one plan beside
 * plain decoding may be held against what is told of another.
 * @param index of the prompt: the order of a pair alternates with it too, so that a single pair a prompt is balanced
 * @returns [plans]
 */
export async function measurePrompt(measuring: Measuring, prompt: VerifyPrompt, index: number): Promise<PromptRuns[]> {
  const { engine, progress, policies, references } = measuring;
  const { drawing } = measuring;
  const reference =
    drawing === undefined ? await referenceOutput(engine, prompt.ids, measuring, references, progress) : [];
  const tokens = drawing === undefined ? reference.length : measuring.maxTokens;
  const behaviours = policies.map((policy) => behaviour(policy, prompt.ids.length, tokens));
  // a plan that drafts nothing here is the plain run, and one that drafts as another does is that one's: neither is timed twice
  const distinct = [...new Set(behaviours)].filter((drafts) => drafts !== PLAIN);
  const drafting = distinct.map((drafts) => planArms(measuring)[behaviours.indexOf(drafts)]);
  const arms = [{ policy: null }, ...drafting, ...alternativeArms(measuring)];
  const pairs = arms.length === 1 ? 1 : measuring.pairs;
  const [plain, ...runs] = await interleave(measuring, prompt, arms, pairs, index);
  const drafted = runs.slice(0, drafting.length);
  const alternatives = await alternativeRuns(measuring, prompt, runs.slice(drafting.length), reference);
  const isDrawn = drawing !== undefined && isDrawnFrom(index, measuring.prompts);
  const distributions = !isDrawn
    ? policies.map(() => [])
    : await drawnDistributions({ ...measuring, drawing }, prompt.ids, policies, index);
  const found: PromptRuns[] = [];
  for (const [which, drafts] of behaviours.entries()) {
    const plan = drafts === PLAIN ? plain : drafted[distinct.indexOf(drafts)];
    const { output, verdict } = await worstRun(measuring, prompt.ids, plan, reference);
    const distribution = drawing === undefined ? {} : { distribution: distributions[which] };
    found.push({ prompt, reference, output, verdict, plain, plan, alternatives, ...distribution });
  }
  return found;
}

const PLAIN = "";

/** What a plan drafts at the contexts that so many tokens behind a prompt lead through: equal where it comes to the same. */
function behaviour(policy: DraftPolicy, promptTokens: number, tokens: number): string {
  const drafts = draftsBetween(policy, promptTokens, promptTokens + tokens - 1);
  return drafts.every(({ key }) => key === null) ? PLAIN : JSON.stringify(drafts);
}

async function alternativeRuns(
  measuring: Measuring,
  prompt: VerifyPrompt,
  others: readonly Decoded[][],
  reference: readonly number[],
): Promise<AlternativeRuns[]> {
  const alternatives: AlternativeRuns[] = [];
  for (const [i, decoded] of others.entries()) {
    const agreeing = await countAgreeing(measuring, prompt, measuring.alternatives[i].choices, reference);
    const prefix = commonPrefix(decoded[0].ids, reference);
    alternatives.push({ runs: decoded, agreeing, positions: reference.length, prefix });
  }
  return alternatives;
}

/** What draws, or penalises; nothing where the likeliest tokens are taken as they are. */
function drawnBy({ drawing, penalty }: Measuring, ...run: readonly number[]): Pick<DecodeOptions, "sampling"> {
  if (drawing !== undefined) return { sampling: samplingOfRun(drawing, ...run) };
  if (penalty === undefined) return {};
  return { sampling: { filters: { temperature: 0, repetition_penalty: penalty }, random: seededRandom(0) } };
}

const planArms = ({ policies }: Measuring): Arm[] => policies.map((policy) => ({ policy }));
const alternativeArms = ({ alternatives }: Measuring): Arm[] =>
  alternatives.map(({ choices }) => ({ policy: null, verifier: choices }));

/** A B A B…: each pair runs every arm once, in the order of the arms or its reverse by turns. @returns [arms][pairs] */
async function interleave(
  measuring: Measuring,
  prompt: VerifyPrompt,
  arms: readonly Arm[],
  pairs: number,
  index: number,
): Promise<Decoded[][]> {
  const { engine, clock, maxTokens, endTokens, progress } = measuring;
  const run = measuring.decode ?? decode;
  const orders = Array.from({ length: pairs }, (_, pair) => thereAndBack(arms.length, pair + index));
  const steps = measuring.pairs + 1; // the reference is one too
  return byTurns(
    arms.length,
    orders,
    (arm, pair) => {
      const sampling = drawnBy(measuring, index, 0, pair, arm);
      return run(engine, prompt.ids, { clock, maxTokens, endTokens, progress, ...sampling, ...arms[arm] });
    },
    (pair) => progress.tick({ stage: "verify", done: index * steps + pair + 1, total: measuring.prompts * steps }),
  );
}

async function countAgreeing(
  { engine, progress }: Measuring,
  prompt: VerifyPrompt,
  choices: ChoiceSet,
  reference: readonly number[],
): Promise<number> {
  let agreeing = 0;
  const visit = (logits: Float32Array, index: number) => {
    if (argmax(logits, 0, logits.length) === reference[index]) agreeing += 1;
    return true;
  };
  await teacherForced(engine, prompt.ids, choices, reference, visit, progress);
  return agreeing;
}
