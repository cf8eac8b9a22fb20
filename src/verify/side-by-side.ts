/** Two plans by turns on the same prompts, A B A B: what `check --measure` decides from. */
import { type Progress, silentProgress } from "../core/progress.js";
import { type Decoded, type DraftPolicy, decode } from "../decode/loop.js";
import type { Clock, Engine } from "../runtime/engine.js";
import { targetChoices } from "../schema/choice.js";
import { interleaveRuns, rotated } from "./interleave.js";
import { judge } from "./judge.js";
import type { VerifyPrompt } from "./measure.js";
import { greedyOutput, type OutputLimits } from "./target-passes.js";

/** One prompt decoded A B A B, or B A B A by turns. */
export interface SideBySideSlot {
  prompt: number;
  /** [2] µs of the rounds, the prompt's pass left out */
  baselineUs: [number, number];
  candidateUs: [number, number];
}

export interface SideBySide {
  slots: SideBySideSlot[];
  /** prompts whose output was not the target's own, first mismatch each */
  mismatches: { plan: "baseline" | "candidate"; prompt: string; token: number }[];
}

export interface SideBySideOptions extends OutputLimits {
  engine: Engine;
  clock: Clock;
  baseline: DraftPolicy;
  candidate: DraftPolicy;
  prompts: readonly VerifyPrompt[];
  /** asked after every slot; the first time it says true, measuring ends */
  enough(slots: readonly SideBySideSlot[], elapsedUs: number): boolean;
  progress?: Progress;
  /** the decoder under test */
  decode?: typeof decode;
}

/**
 * Every output is judged against the target's own, decoded first; the first run of each prompt is not timed.
 * Prompts whose outputs are a single token have no step to time and are left out.
 */
export async function sideBySide(options: SideBySideOptions): Promise<SideBySide> {
  const { clock, prompts, progress = silentProgress } = options;
  const found: SideBySide = { slots: [], mismatches: [] };
  const usable: number[] = [];
  const start = clock.nowUs();
  for (const [index, prompt] of prompts.entries()) {
    await progress.tick({ stage: "measure", done: index, total: prompts.length });
    const mismatches = await judgePrompt(options, prompt);
    found.mismatches.push(...mismatches.found);
    if (mismatches.tokens > 1) usable.push(index);
  }
  for (let slot = 0; usable.length > 0; slot++) {
    const prompt = usable[slot % usable.length];
    // the order turns with every pass over the prompts, and where their number is even it would else stay with the prompt
    const reversed = (slot + Math.floor(slot / usable.length)) % 2 === 1;
    found.slots.push(await timeSlot(options, prompt, reversed));
    await progress.tick({ stage: "measure", done: slot % 100, total: 100 });
    if (options.enough(found.slots, clock.nowUs() - start)) break;
  }
  return found;
}

/** The outputs of both plans against the target's; they are a warm-up too. */
async function judgePrompt(options: SideBySideOptions, prompt: VerifyPrompt) {
  const { engine, clock, maxTokens, endTokens, progress = silentProgress } = options;
  const run = options.decode ?? decode;
  const reference = await greedyOutput(engine, prompt.ids, targetChoices(engine.spec.layers), options, progress);
  const found: SideBySide["mismatches"] = [];
  for (const plan of ["baseline", "candidate"] as const) {
    const { ids } = await run(engine, prompt.ids, { clock, maxTokens, endTokens, progress, policy: options[plan] });
    const { firstMismatch } = await judge(engine, prompt.ids, ids, reference, options, progress);
    if (firstMismatch !== null) found.push({ plan, prompt: prompt.name, token: firstMismatch });
  }
  return { found, tokens: reference.length };
}

async function timeSlot(options: SideBySideOptions, index: number, reversed: boolean): Promise<SideBySideSlot> {
  const { progress = silentProgress, baseline, candidate } = options;
  const order = rotated(2, reversed ? 1 : 0);
  const runs = await interleaveRuns(
    { ...options, progress },
    options.prompts[index].ids,
    [baseline, candidate],
    [order, order],
  );
  const [baselineUs, candidateUs] = runs.map((turns) => turns.map(perToken) as [number, number]);
  return { prompt: index, baselineUs, candidateUs };
}

/** µs a token: outputs may differ in length where logits tie. The first token comes from the prompt's pass. */
const perToken = ({ decodeUs, ids }: Decoded): number => decodeUs / Math.max(1, ids.length - 1);
