/** One prompt gone on with, once or several times: each continuation is what its seed alone gives. */
import type { Progress } from "../../core/progress.js";
import { type Decoded, type DecodeOptions, type DraftPolicy, decode, prefillFor } from "../../decode/loop.js";
import { acceptanceOf } from "../../decode/statistics.js";
import { systemClock } from "../../runtime/device.js";
import type { Engine } from "../../runtime/engine.js";
import { GREEDY } from "../../schema/sampling.js";
import { seededRandom } from "../../stats/random.js";
import type { SamplingRequest } from "../sampling.js";
import type { Prompt } from "./prompt.js";
import { StoppingText } from "./stopping-text.js";
import type { Continuation, TextSink } from "./types.js";

export interface ContinuationOptions {
  policy: DraftPolicy | null;
  maxTokens: number;
  sampling: SamplingRequest | undefined;
  /** texts that end a continuation */
  stops: readonly string[];
  /** null: the text is not wanted before it is whole */
  sink: TextSink | null;
  progress: Progress;
}

/** @returns at least one, in the order of their seeds */
export async function continuationsOf(
  engine: Engine,
  prompt: Prompt,
  options: ContinuationOptions,
): Promise<Continuation[]> {
  const { filters = GREEDY, seed = null, count = 1 } = options.sampling ?? {};
  const policies = options.policy === null ? [] : [options.policy];
  // the prompt is read once: continuations write behind it only
  const prefilled = count > 1 ? { prefilled: await prefillFor(engine, prompt.ids, policies, options.progress) } : {};
  const found: Continuation[] = [];
  for (let i = 0; i < count; i++) {
    const own = seed === null ? null : seed + i;
    const sampling = { filters, random: seededRandom(own ?? 0) };
    const decoded = await decodeTo(engine, prompt, options, { sampling, ...prefilled });
    found.push({ ...summarise(decoded, options.policy !== null), seed: own });
  }
  return found;
}

async function decodeTo(
  engine: Engine,
  { ids, tokenizer }: Prompt,
  { policy, maxTokens, stops, sink, progress }: ContinuationOptions,
  own: Pick<DecodeOptions, "sampling" | "prefilled">,
): Promise<Told> {
  const text = tokenizer === null ? null : new StoppingText(tokenizer, stops, sink);
  try {
    const decoded = await decode(engine, ids, {
      ...{ maxTokens, endTokens: engine.spec.eosTokenIds, policy, clock: systemClock, progress },
      ...own,
      stopAfter: text === null ? undefined : (tokens) => text.take(tokens),
      onTokens: () => text?.write(),
    });
    text?.end();
    return { ...decoded, text: text?.text ?? null };
  } catch (error) {
    // also when interrupted: the shell's prompt belongs on a line of its own
    text?.end();
    throw error;
  }
}

interface Told extends Decoded {
  text: string | null;
}

function summarise(told: Told, planned: boolean): Omit<Continuation, "seed"> {
  const { ids, text, finish, rounds, decodeUs } = told;
  const { drafted, accepted } = acceptanceOf(rounds);
  return {
    ...{ ids, text, finish, decodeUs, allRounds: rounds },
    // the first token comes from the prompt's pass
    tokensPerSecond: rounds.length === 0 ? null : (1e6 * (ids.length - 1)) / decodeUs,
    rounds: planned ? rounds.filter((round) => round.drafted > 0).length : null,
    drafted: planned ? drafted : null,
    accepted: planned ? accepted : null,
  };
}
