/** What the decoding loop itself adds to a round and to a plain step, measured on the loop itself. */
import { median } from "simple-statistics";
import { type Progress, silentProgress } from "../core/progress.js";
import { decode, type Round } from "../decode/loop.js";
import type { Clock, Engine } from "../runtime/engine.js";
import { quantisedKernels, uniformChoices } from "../schema/choice.js";

const PROMPT_TOKENS = 16;
const NEW_TOKENS = 64;
const DRAFT_TOKENS = 4;

export interface LoopOverhead {
  roundUs: number;
  stepUs: number;
}

const overheadUs = (rounds: readonly Round[]): number =>
  rounds.length === 0
    ? 0
    : median(rounds.map(({ totalUs, draftUs, verifyUs }) => Math.max(0, totalUs - draftUs - verifyUs)));

/** @param ids any token ids: what is decoded does not matter */
export async function measureLoop(
  engine: Engine,
  clock: Clock,
  ids: readonly number[],
  progress: Progress = silentProgress,
): Promise<LoopOverhead> {
  const promptTokens = Math.max(1, Math.min(PROMPT_TOKENS, engine.capacity - 2));
  const prompt = Array.from({ length: promptTokens }, (_, i) => ids[i % ids.length]);
  const maxTokens = Math.min(NEW_TOKENS, engine.capacity - promptTokens);
  const common = { endTokens: [], clock, progress };
  const choice = quantisedKernels(engine.kernels)[0] ?? "skip";
  const draft = { choices: uniformChoices(engine.spec.layers, choice), draftTokens: DRAFT_TOKENS };
  const speculative = await decode(engine, prompt, { ...common, maxTokens, policy: () => draft });
  const plain = await decode(engine, prompt, { ...common, maxTokens: Math.min(24, maxTokens), policy: null });
  return {
    roundUs: overheadUs(speculative.rounds.filter(({ drafted }) => drafted > 0)),
    stepUs: overheadUs(plain.rounds),
  };
}
