/**
 * Outputs that were drawn: there is no one right text to hold them against, but a distribution. Two things are looked at:
 * how texts begin, drawn over and over from one prompt, against the exact chances of all beginnings; and in whole outputs
 * that every token is one that the filters leave.
 */
import type { Progress } from "../../core/progress.js";
import { type DecodeOptions, type DraftPolicy, decode, prefillFor } from "../../decode/loop.js";
import type { Clock, Engine } from "../../runtime/engine.js";
import { targetChoices } from "../../schema/choice.js";
import type { Filters } from "../../schema/sampling.js";
import { TIE_MARGINS } from "../../schema/verification.js";
import type { ChiSquare } from "../../stats/chi-square.js";
import { seededRandom } from "../../stats/random.js";
import { type Verdict, wrongEnd } from "../judge.js";
import { type OutputLimits, teacherForced } from "../target-passes.js";
import { beginningsOf, chiSquareOf } from "./beginnings.js";
import { exactDistribution } from "./exact.js";

/** How outputs are drawn, and how many of them to look at the distribution. */
export interface Drawing {
  filters: Filters;
  seed: number;
  /** texts drawn from each of the prompts that they are drawn from */
  draws: number;
}

/** Tokens that texts are told apart by: first tokens, pairs, and what a draft's second token makes of a pair. */
export const TOLD_TOKENS = [1, 2, 3] as const;

/** Prompts that texts are drawn from: many from a few tell pairs apart, which few from many do not. */
const DRAWN_PROMPTS = 4;

/** Whether texts are drawn from a prompt, by its index: a few are, from the first on and evenly apart. */
export const isDrawnFrom = (index: number, prompts: number): boolean =>
  prompts <= DRAWN_PROMPTS ||
  Array.from({ length: DRAWN_PROMPTS }, (_, i) => Math.floor((i * prompts) / DRAWN_PROMPTS)).includes(index);

interface Drawn extends OutputLimits {
  engine: Engine;
  clock: Clock;
  progress: Progress;
  drawing: Drawing;
  /** the decoder under test */
  decode?: typeof decode;
}

/** The random source of one run: each has its own. */
export const samplingOfRun = (
  { filters, seed }: Drawing,
  ...run: readonly number[]
): NonNullable<DecodeOptions["sampling"]> => ({ filters, random: seededRandom(seed, ...run) });

/**
 * Draws texts from a prompt with every policy, and compares their beginnings with what they should be.
 * @param index of the prompt
 * @returns [policies][TOLD_TOKENS]
 */
export async function drawnDistributions(
  options: Drawn,
  prompt: readonly number[],
  policies: readonly DraftPolicy[],
  index: number,
): Promise<ChiSquare[][]> {
  const { engine, clock, progress, endTokens, drawing } = options;
  const { filters, draws } = drawing;
  const depth = Math.min(TOLD_TOKENS.length, options.maxTokens);
  const slack = TIE_MARGINS[engine.numerics.targetPrecision];
  const root = await beginningsOf(engine, prompt, { filters, endTokens, depth, draws, slack }, progress);
  const prefilled = await prefillFor(engine, prompt, policies, progress);
  const found: ChiSquare[][] = [];
  for (const [which, policy] of policies.entries()) {
    // room for a whole draft behind the first token, and for its bonus
    const longest = policy(prompt.length)?.draftTokens ?? 0;
    const maxTokens = Math.min(options.maxTokens, Math.max(depth, longest + 2));
    const drawn: number[][] = [];
    for (let i = 0; i < draws; i++) {
      await progress.tick();
      const sampling = samplingOfRun(drawing, index, 1, which, i);
      const own = { clock, maxTokens, endTokens, progress, policy, prefilled, sampling };
      drawn.push((await (options.decode ?? decode)(engine, prompt, own)).ids);
    }
    found.push(TOLD_TOKENS.map((tokens) => chiSquareOf(root, drawn, Math.min(tokens, depth))));
  }
  return found;
}

/** Whether every token of an output is one that the filters leave, up to a tie at their border, and it ends where it should. */
export async function judgeDrawn(
  engine: Engine,
  prompt: readonly number[],
  ids: readonly number[],
  filters: Filters,
  limits: OutputLimits,
  progress: Progress,
): Promise<Verdict> {
  const { vocabSize, layers } = engine.spec;
  const judged = ids.slice(0, limits.maxTokens);
  const known = (token: number) => Number.isInteger(token) && token >= 0 && token < vocabSize;
  const strange = judged.findIndex((token) => !known(token));
  let firstMismatch = strange === -1 ? null : strange;
  const filtering = filters.top_k !== undefined || (filters.top_p ?? 1) < 1 || (filters.min_p ?? 0) > 0;
  if (filtering) {
    const slack = TIE_MARGINS[engine.numerics.targetPrecision];
    const visit = (logits: Float32Array, at: number): boolean => {
      const text = [...prompt, ...judged.slice(0, at)];
      const exact = exactDistribution(logits.subarray(0, vocabSize), filters, text, slack);
      if (known(judged[at]) && exact.possible(judged[at])) return true;
      firstMismatch = at;
      return false;
    };
    await teacherForced(engine, prompt, targetChoices(layers), judged, visit, progress);
  }
  const fault = wrongEnd(ids, limits);
  if (fault !== null && (firstMismatch === null || fault < firstMismatch)) firstMismatch = fault;
  return { ties: [], firstMismatch, worstMargin: 0 };
}
