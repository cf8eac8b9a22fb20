/** Ways of decoding over several engines by turns: each has its own target, and is judged by that one's passes alone. */
import { type Progress, silentProgress } from "../core/progress.js";
import { type Decoded, type DraftPolicy, decode, type Prefilled, prefillFor } from "../decode/loop.js";
import type { Clock, Engine } from "../runtime/engine.js";
import type { PromptPolicyRuns } from "./compare-policies.js";
import { byTurns, rotated } from "./interleave.js";
import type { Verdict } from "./judge.js";
import type { VerifyPrompt } from "./measure.js";
import { type ReferenceCache, referenceOutput } from "./reference.js";
import { worstRun } from "./worst-run.js";

export interface Way {
  engine: Engine;
  /** null: plain decoding */
  policy: DraftPolicy | null;
}

export interface WaysOptions {
  clock: Clock;
  ways: readonly Way[];
  prompts: readonly VerifyPrompt[];
  maxTokens: number;
  endTokens: readonly number[];
  /** runs of every way on every prompt */
  pairs: number;
  /** by the clock: no prompt is begun after it; null: all are run */
  untilUs: number | null;
  progress?: Progress;
  /** the decoder under test; tests plant faults here */
  decode?: typeof decode;
}

const WARM_UP_TOKENS = 8;

/**
 * Prompt after prompt, every way once a turn; in each turn another one begins, so what slows the machine slows all alike.
 * @returns the prompts that were run; one that a target answers with a single token has no step to time and is left out
 */
export async function waysByTurns(options: WaysOptions): Promise<PromptPolicyRuns[]> {
  const { clock, ways, prompts, maxTokens, endTokens, pairs, untilUs, progress = silentProgress } = options;
  const engines = [...new Set(ways.map(({ engine }) => engine))];
  const references: ReferenceCache = new WeakMap();
  const found: PromptPolicyRuns[] = [];
  for (const [done, prompt] of prompts.entries()) {
    await progress.tick({ stage: "compare", done, total: prompts.length });
    if (untilUs !== null && found.length > 0 && clock.nowUs() >= untilUs) break;
    const own = new Map<Engine, readonly number[]>();
    for (const engine of engines)
      own.set(engine, await referenceOutput(engine, prompt.ids, options, references, progress));
    if ([...own.values()].some((ids) => ids.length < 2)) continue;
    const runs = await runAll(options, prompt, engines, found.length === 0, done * pairs);
    const verdicts: Verdict[] = [];
    for (const [i, { engine }] of ways.entries()) {
      const judging = { engine, maxTokens, endTokens, progress };
      verdicts.push((await worstRun(judging, prompt.ids, runs[i], own.get(engine) as readonly number[])).verdict);
    }
    found.push({ prompt, reference: own.get(ways[0].engine) as readonly number[], runs, verdicts });
  }
  return found;
}

/** @returns [ways][turns] */
async function runAll(
  options: WaysOptions,
  prompt: VerifyPrompt,
  engines: readonly Engine[],
  isFirst: boolean,
  firstTurn: number,
): Promise<Decoded[][]> {
  const { clock, ways, pairs, maxTokens, endTokens, progress = silentProgress } = options;
  const read = new Map<Engine, Prefilled>();
  for (const engine of engines) {
    const policies = ways.filter((way) => way.engine === engine).flatMap(({ policy }) => policy ?? []);
    read.set(engine, await prefillFor(engine, prompt.ids, policies, progress));
  }
  const run = ({ engine, policy }: Way, most: number) =>
    (options.decode ?? decode)(engine, prompt.ids, {
      ...{ clock, maxTokens: most, endTokens, policy, progress },
      prefilled: read.get(engine) as Prefilled,
    });
  if (isFirst) for (const way of ways) await run(way, Math.min(WARM_UP_TOKENS, maxTokens));
  const orders = Array.from({ length: pairs }, (_, turn) => rotated(ways.length, firstTurn + turn));
  return byTurns(ways.length, orders, (i) => run(ways[i], maxTokens));
}
