/** What a target loses against another: perplexity, and how often it takes the other's likeliest token, on the same text. */
import { mean, sampleStandardDeviation } from "simple-statistics";
import type { Progress } from "../core/progress.js";
import { argmax, type Engine } from "../runtime/engine.js";
import { MAX_LOGIT_ROWS } from "../runtime/limits.js";
import { type ChoiceSet, targetChoices } from "../schema/choice.js";
import type { Interval } from "../schema/common.js";
import { LEAST_UNITS } from "../stats/interval.js";
import { studentQuantile } from "../stats/student.js";

/** One window of text, scored. */
export interface ScoredWindow {
  /** [positions] −ln of the probability of the token that follows, in nats */
  loss: Float64Array;
  /** [positions] the likeliest token */
  likeliest: Int32Array;
}

export interface Quality {
  perplexity: number;
  perplexityRatio: Interval;
  agreement: Interval;
}

/**
 * Each token of a window given those before it, in passes of several tokens.
 * @param windows at least two tokens each; the first token of a window is given, and not scored
 * @param choices what computes; default: the target
 */
export async function scoreWindows(
  engine: Engine,
  windows: readonly (readonly number[])[],
  progress: Progress,
  choices: ChoiceSet = targetChoices(engine.spec.layers),
): Promise<ScoredWindow[]> {
  const scored: ScoredWindow[] = [];
  for (const [done, ids] of windows.entries()) {
    await progress.tick({ stage: "quality", done, total: windows.length });
    scored.push(scoreWindow(engine, ids, choices));
  }
  return scored;
}

function scoreWindow(engine: Engine, ids: readonly number[], choices: ChoiceSet): ScoredWindow {
  const { vocabSize } = engine.spec;
  const [loss, likeliest] = [new Float64Array(ids.length - 1), new Int32Array(ids.length - 1)];
  for (let position = 0; position < loss.length; position += MAX_LOGIT_ROWS) {
    const input = ids.slice(position, Math.min(position + MAX_LOGIT_ROWS, loss.length));
    const { logits } = engine.run({ position, input, choices, logitRows: input.length });
    for (let row = 0; row < input.length; row++) {
      const best = argmax(logits, row, vocabSize);
      const from = row * vocabSize;
      const greatest = logits[from + best];
      let total = 0;
      for (let i = 0; i < vocabSize; i++) total += Math.exp(logits[from + i] - greatest);
      likeliest[position + row] = best;
      loss[position + row] = Math.log(total) + greatest - logits[from + ids[position + row + 1]];
    }
  }
  return { loss, likeliest };
}

/**
 * Intervals are over windows (Student's t): positions of one window are not independent of each other.
 * @param windows   [windows] of the target
 * @param reference [windows] of the target that it is held against, over the same tokens
 */
export function qualityOf(windows: readonly ScoredWindow[], reference: readonly ScoredWindow[]): Quality {
  const losses = windows.map(({ loss }) => mean([...loss]));
  const differences = losses.map((loss, i) => loss - mean([...reference[i].loss]));
  const shares = windows.map(({ likeliest }, i) => {
    const same = likeliest.reduce((count, id, at) => count + (id === reference[i].likeliest[at] ? 1 : 0), 0);
    return same / likeliest.length;
  });
  return {
    perplexity: Math.exp(mean(losses)),
    perplexityRatio: intervalOf(differences, Math.exp),
    agreement: intervalOf(shares, (share) => Math.min(1, Math.max(0, share))),
  };
}

/** @param as what a mean is told as; rising */
function intervalOf(values: readonly number[], as: (mean: number) => number): Interval {
  const centre = mean([...values]);
  if (values.length < LEAST_UNITS) return { median: as(centre), low: null, high: null };
  const error = sampleStandardDeviation([...values]) / Math.sqrt(values.length);
  const half = studentQuantile(0.975, values.length - 1) * error;
  return { median: as(centre), low: as(centre - half), high: as(centre + half) };
}
