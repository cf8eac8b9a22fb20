/** Losses at every context, into a calibration document. */
import type { Progress } from "../core/progress.js";
import type { Clock, Engine } from "../runtime/engine.js";
import type { Calibration } from "../schema/calibration.js";
import { type ModelRef, numericsOf } from "../schema/common.js";
import { type Continuation, continuePrompts } from "./continuation.js";
import { hitsPerOverlap, lossRecord, measureLosses, type Tally } from "./losses.js";
import { SAMPLING_SEED, type Sampling } from "./sampling.js";

/** Tokens of the rounds that losses and curves are measured in: the longest draft a plan may have. */
export const ROUND_TOKENS = 16;

/** Token ids of the prompts at one context: one part to choose plans, another to report them. */
export interface ContextPrompts {
  atContext: number;
  choose: number[][];
  report: number[][];
}

export interface CalibrationInput {
  engine: Engine;
  clock: Clock;
  model: ModelRef & { weights_sha256: string };
  text: Pick<Calibration["text"], "source" | "sha256" | "tokenizer_sha256">;
  /** by rising context */
  prompts: readonly ContextPrompts[];
  /** prompts that were asked for; absent: as many as usual */
  promptsPerContext?: number;
  continuationTokens: number;
  /** acceptance for sampling at this temperature; absent: for greedy decoding */
  temperature?: number;
  progress: Progress;
}

export interface CalibrationResult {
  calibration: Calibration;
  /** the `choose` part's continuations by context, for measuring whole drafts without making them again */
  continuations: Map<number, Continuation[]>;
}

/** How the target continues prompts for a calibration; null: greedily. */
export const samplingAt = (temperature: number | undefined): Sampling | null =>
  temperature === undefined ? null : { temperature, seed: SAMPLING_SEED };

/** When sampling, the overlap itself is the chance of acceptance; greedily, hits are another thing. */
const hitsFactor = (temperature: number | undefined, tallies: readonly Tally[]): number =>
  temperature === undefined ? hitsPerOverlap(tallies) : 1;

export async function calibrate(input: CalibrationInput): Promise<CalibrationResult> {
  const { engine, clock, progress, prompts } = input;
  const continuations = new Map<number, Continuation[]>();
  const contexts: Calibration["contexts"] = [];
  for (const { atContext, choose } of prompts) {
    const sampling = samplingAt(input.temperature);
    const made = await continuePrompts(engine, clock, choose, input.continuationTokens, progress, sampling);
    continuations.set(atContext, made);
    const { probes, tallies } = await measureLosses(engine, made, ROUND_TOKENS, progress);
    contexts.push(lossRecord(atContext, engine.spec.layers, probes, tallies, hitsFactor(input.temperature, tallies)));
  }
  const count = (part: "choose" | "report") => prompts.reduce((sum, p) => sum + p[part].length, 0);
  const calibration: Calibration = {
    kind: "draftplan/calibration",
    version: 1,
    model: input.model,
    kernels: numericsOf(engine.kernels, engine.numerics),
    text: {
      ...input.text,
      prompts: { choose: count("choose"), report: count("report") },
      ...(input.promptsPerContext === undefined ? {} : { prompts_per_context: input.promptsPerContext }),
      continuation_tokens: input.continuationTokens,
      ...(input.temperature === undefined ? {} : { temperature: input.temperature }),
      round_tokens: ROUND_TOKENS,
    },
    contexts,
    measured: [],
  };
  return { calibration, continuations };
}
