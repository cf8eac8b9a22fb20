/** Any number of plans by turns on the same prompts, at several contexts: what `compare` is made of. */
import { type Progress, silentProgress } from "../core/progress.js";
import type { Decoded, DecodeOptions, DraftPolicy } from "../decode/loop.js";
import { seededRandom } from "../stats/random.js";
import type { Drawing } from "./distribution/drawn.js";
import { type InterleaveOptions, interleaveRuns, rotated } from "./interleave.js";
import { isWorse, type Verdict } from "./judge.js";
import type { VerifyPrompt } from "./measure.js";
import { type ReferenceCache, referenceOutput } from "./reference.js";
import { type Timed, TimeTaken } from "./time-taken.js";
import { worstRun } from "./worst-run.js";

/** Prompts of about one length, and the policies to run on each of them. */
export interface PoliciesAtContext {
  prompts: readonly VerifyPrompt[];
  policies: readonly DraftPolicy[];
}

export interface ComparePoliciesOptions extends Omit<InterleaveOptions, "progress" | "samplingOf"> {
  /**
   * how tokens are drawn: then every token is to be one that the filters leave, and no run ends before it has all its tokens,
   * or some would have none to time; left out: the likeliest are taken, behind `penalty` where there is one
   */
  drawing?: Pick<Drawing, "filters" | "seed"> | undefined;
  contexts: readonly PoliciesAtContext[];
  /** runs of every policy on every prompt */
  pairs: number;
  /** ends measuring once a prompt is finished after so long; null: never */
  limitUs: number | null;
  progress?: Progress;
  /** told of every prompt after its turns */
  onTurns?: (context: number, turns: PromptPolicyRuns) => void;
  /** hands a visit as an interrupted run made it, or has it made now */
  keep?: ((visit: number, make: () => Promise<Visit>) => Promise<Visit>) | undefined;
}

/** One prompt's turns; null where its output is a single token. */
export type Visit = Timed<PromptPolicyRuns | null>;

/** One prompt, and all that was run on it. */
export interface PromptPolicyRuns {
  prompt: VerifyPrompt;
  /** the target's own greedy output, decoded before anything else; of as many tokens, and none of them, where tokens are drawn */
  reference: readonly number[];
  /** [policies][turns] */
  runs: Decoded[][];
  /** [policies] of the worst run */
  verdicts: Verdict[];
}

const WARM_UP_TOKENS = 8;

/**
 * Visits prompt after prompt, context by context, so that time that ends too early is missing everywhere alike: where
 * it is limited, a visit is one turn, and prompts are met again as long as there is time.
 * @returns [contexts] the prompts that were visited; one whose output is a single token has no step to time and is left out
 */
export async function comparePolicies(options: ComparePoliciesOptions): Promise<PromptPolicyRuns[][]> {
  const { clock, contexts, pairs, limitUs, progress = silentProgress } = options;
  const keep = options.keep ?? ((_, make) => make());
  const found = contexts.map(() => new Map<number, PromptPolicyRuns>());
  const visits = visitsOf(contexts, limitUs === null ? 1 : pairs);
  const visit = visitor(options);
  const time = new TimeTaken(clock);
  for (const [done, { context, prompt: index }] of visits.entries()) {
    await progress.tick({ stage: "compare", done, total: visits.length });
    if (limitUs !== null && time.us >= limitUs) break;
    const visited = await time.of(
      (make) => keep(done, make),
      () => visit(done, context, index),
    );
    if (visited === null) continue;
    const before = found[context].get(index);
    found[context].set(index, before === undefined ? visited : joined(before, visited));
    options.onTurns?.(context, visited);
  }
  return found.map((visited) => [...visited.entries()].sort(([a], [b]) => a - b).map(([, turns]) => turns));
}

/** @returns runs all policies of a context on one of its prompts; each context is warmed up the first time */
function visitor(options: ComparePoliciesOptions) {
  const { contexts, pairs, limitUs, drawing, progress = silentProgress } = options;
  const perPass = contexts.reduce((sum, { prompts }) => sum + prompts.length, 0);
  const warm = new Set<number>();
  const references: ReferenceCache = new WeakMap();
  return async (done: number, context: number, index: number): Promise<PromptPolicyRuns | null> => {
    const { prompts, policies } = contexts[context];
    const prompt = prompts[index];
    const reference =
      drawing === undefined
        ? await referenceOutput(options.engine, prompt.ids, options, references, progress)
        : new Array<number>(options.maxTokens).fill(0);
    if (reference.length < 2) return null;
    const turns = limitUs === null ? pairs : 1;
    // the pass counts too, or a prompt would meet the same order again where prompts are a multiple of policies
    const first = done * turns + Math.floor(done / perPass);
    const orders = Array.from({ length: turns }, (_, turn) => rotated(policies.length, first + turn));
    const warmUp = warm.has(context) ? 0 : WARM_UP_TOKENS;
    const samplingOf = (policy: number, turn: number) => drawnBy(options, context, index, first + turn, policy);
    const own = { ...options, endTokens: drawing === undefined ? options.endTokens : [], progress };
    const runs = await interleaveRuns({ ...own, samplingOf }, prompt.ids, policies, orders, warmUp);
    warm.add(context);
    const known = new Map<string, Verdict>();
    const verdicts: Verdict[] = [];
    for (const turns of runs) verdicts.push((await worstRun(own, prompt.ids, turns, reference, known)).verdict);
    return { prompt, reference, runs, verdicts };
  };
}

/** Each prompt `passes` times; contexts take turns. */
function visitsOf(contexts: readonly PoliciesAtContext[], passes: number): { context: number; prompt: number }[] {
  const most = Math.max(0, ...contexts.map(({ prompts }) => prompts.length));
  const once = Array.from({ length: most }, (_, prompt) =>
    contexts.flatMap(({ prompts }, context) => (prompt < prompts.length ? [{ context, prompt }] : [])),
  ).flat();
  return Array.from({ length: passes }, () => once).flat();
}

/** What draws, or penalises; undefined where the likeliest tokens are taken as they are. Every run has a random source of its own. */
function drawnBy(
  { drawing, penalty }: Pick<ComparePoliciesOptions, "drawing" | "penalty">,
  ...run: readonly number[]
): DecodeOptions["sampling"] {
  // a warm-up's turn is −1
  const source = run.map((number) => number + 1);
  if (drawing !== undefined) return { filters: drawing.filters, random: seededRandom(drawing.seed, ...source) };
  if (penalty === undefined) return undefined;
  return { filters: { temperature: 0, repetition_penalty: penalty }, random: seededRandom(0) };
}

const worse = (a: Verdict, b: Verdict): Verdict => (isWorse(b, a) ? b : a);

const joined = (a: PromptPolicyRuns, b: PromptPolicyRuns): PromptPolicyRuns => ({
  ...a,
  runs: a.runs.map((turns, i) => [...turns, ...b.runs[i]]),
  verdicts: a.verdicts.map((verdict, i) => worse(verdict, b.verdicts[i])),
});
