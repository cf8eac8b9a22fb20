/** Is an output the target's own? Decided token by token against passes the decoder had no part in. */
import type { Progress } from "../core/progress.js";
import type { Engine } from "../runtime/engine.js";
import { argmax } from "../runtime/engine.js";
import { targetChoices } from "../schema/choice.js";
import { TIE_MARGINS } from "../schema/verification.js";
import { penalised } from "./distribution/exact.js";
import { notNumbers, type OutputLimits, teacherForced } from "./target-passes.js";

/** A token that is not the maximum but within the tie margin of it (schema/verification.ts). */
export interface Tie {
  /** of the token in the output, from 0 */
  position: number;
  /** how far its logit lies below the maximum */
  margin: number;
}

export interface Verdict {
  ties: Tie[];
  /** first token beyond the tie margin, or where the output ends too early or goes on too long; null: lossless */
  firstMismatch: number | null;
  /** greatest distance of a token's logit from the maximum */
  worstMargin: number;
}

/** Tokens that two outputs begin with alike. */
export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return length;
}

/**
 * Judges an output. As long as it equals the reference, the reference's pass *is* the independent q = 1 pass over the
 * emitted prefix, and it chose that very token. From the first difference on the output goes its own way, so its
 * own prefix is run again, from an empty cache, one token a pass.
 * @param reference the target's greedy output for the same prompt and limits (`greedyOutput`)
 */
export async function judge(
  engine: Engine,
  prompt: readonly number[],
  ids: readonly number[],
  reference: readonly number[],
  limits: OutputLimits,
  progress: Progress,
): Promise<Verdict> {
  const verdict: Verdict = { ties: [], firstMismatch: null, worstMargin: 0 };
  const judged = ids.slice(0, limits.maxTokens);
  const same = commonPrefix(judged, reference);
  if (same < judged.length) {
    const tie = TIE_MARGINS[engine.numerics.targetPrecision];
    const visit = (logits: Float32Array, index: number) => {
      if (index < same) return true;
      const text = limits.penalty === undefined ? [] : [...prompt, ...judged.slice(0, index)];
      return score(verdict, penalised(logits, text, limits.penalty), judged[index], index, tie);
    };
    await teacherForced(engine, prompt, targetChoices(engine.spec.layers), judged, visit, progress);
  }
  const fault = wrongEnd(ids, limits);
  if (fault !== null && (verdict.firstMismatch === null || fault < verdict.firstMismatch))
    verdict.firstMismatch = fault;
  return verdict;
}

/** An earlier mismatch first, then more ties. */
export function isWorse(a: Verdict, b: Verdict): boolean {
  const mismatch = (verdict: Verdict) => verdict.firstMismatch ?? Number.POSITIVE_INFINITY;
  return mismatch(a) === mismatch(b) ? a.ties.length > b.ties.length : mismatch(a) < mismatch(b);
}

/** Adds one token to the verdict; false where the model could not run it. */
function score(verdict: Verdict, logits: Float32Array, token: number, index: number, tie: number): boolean {
  const best = argmax(logits, 0, logits.length);
  if (!Number.isInteger(token) || token < 0 || token >= logits.length) {
    verdict.firstMismatch ??= index;
    return false;
  }
  const margin = logits[best] - logits[token];
  if (!Number.isFinite(margin)) throw notNumbers(index);
  if (margin > tie) verdict.firstMismatch ??= index;
  else if (token !== best) verdict.ties.push({ position: index, margin });
  verdict.worstMargin = Math.max(verdict.worstMargin, margin);
  return true;
}

/** An output ends with its first end token or at maxTokens; where it does not, the token that is missing or too much. */
export function wrongEnd(ids: readonly number[], { endTokens, maxTokens }: OutputLimits): number | null {
  const end = ids.findIndex((id) => endTokens.includes(id));
  const length = end === -1 ? maxTokens : Math.min(end + 1, maxTokens);
  return ids.length === length ? null : Math.min(ids.length, length);
}
