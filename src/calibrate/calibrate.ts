/** Losses at every context, into a calibration document. */
import type { Progress } from "../core/progress.js";
import type { Clock, Engine } from "../runtime/engine.js";
import type { Calibration } from "../schema/calibration.js";
import { currentNumerics, type ModelRef } from "../schema/common.js";
import { type Continuation, continuePrompts } from "./continuation.js";
import { lossRecord, measureLosses } from "./losses.js";

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
  continuationTokens: number;
  progress: Progress;
}

export interface CalibrationResult {
  calibration: Calibration;
  /** the `choose` part's continuations by context, for measuring whole drafts without making them again */
  continuations: Map<number, Continuation[]>;
}

export async function calibrate(input: CalibrationInput): Promise<CalibrationResult> {
  const { engine, clock, progress, prompts } = input;
  const continuations = new Map<number, Continuation[]>();
  const contexts: Calibration["contexts"] = [];
  for (const { atContext, choose } of prompts) {
    const made = await continuePrompts(engine, clock, choose, input.continuationTokens, progress);
    continuations.set(atContext, made);
    const { probes, tallies } = await measureLosses(engine, made, ROUND_TOKENS, progress);
    contexts.push(lossRecord(atContext, engine.spec.layers, probes, tallies));
  }
  const count = (part: "choose" | "report") => prompts.reduce((sum, p) => sum + p[part].length, 0);
  const calibration: Calibration = {
    kind: "draftplan/calibration",
    version: 1,
    model: input.model,
    kernels: currentNumerics(),
    text: {
      ...input.text,
      prompts: { choose: count("choose"), report: count("report") },
      continuation_tokens: input.continuationTokens,
      round_tokens: ROUND_TOKENS,
    },
    contexts,
    measured: [],
  };
  return { calibration, continuations };
}
