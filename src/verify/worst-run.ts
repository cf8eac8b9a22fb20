/** The verdict on several runs from one prompt is that of the worst of them. */
import type { Progress } from "../core/progress.js";
import type { Decoded } from "../decode/loop.js";
import type { Engine } from "../runtime/engine.js";
import { type Drawing, judgeDrawn } from "./distribution/drawn.js";
import { isWorse, judge, type Verdict } from "./judge.js";
import type { OutputLimits } from "./target-passes.js";

export interface Judging extends OutputLimits {
  engine: Engine;
  progress: Progress;
  /** how tokens were drawn; left out: the likeliest were taken */
  drawing?: Pick<Drawing, "filters"> | undefined;
}

export interface JudgedOutput {
  output: readonly number[];
  verdict: Verdict;
}

/**
 * Judges every run; runs of equal output share a verdict.
 * @param runs      at least one
 * @param reference the target's greedy output; unused where tokens were drawn
 * @param known     verdicts on outputs from this prompt, which are added to
 * @returns the worst output and its verdict
 */
export async function worstRun(
  judging: Judging,
  prompt: readonly number[],
  runs: readonly Pick<Decoded, "ids">[],
  reference: readonly number[],
  known = new Map<string, Verdict>(),
): Promise<JudgedOutput> {
  const { engine, drawing, progress } = judging;
  const judged: JudgedOutput[] = [];
  for (const { ids } of runs) {
    const key = ids.join();
    const verdict =
      known.get(key) ??
      (drawing === undefined
        ? await judge(engine, prompt, ids, reference, judging, progress)
        : await judgeDrawn(engine, prompt, ids, drawing.filters, judging, progress));
    known.set(key, verdict);
    judged.push({ output: ids, verdict });
  }
  return judged.reduce((worst, other) => (isWorse(other.verdict, worst.verdict) ? other : worst));
}
