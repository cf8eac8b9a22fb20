/** The filters of sampling as their definitions read: everything sorted, nothing clever. Imports nothing from src. */
export interface NaiveFilters {
  temperature: number;
  repetition_penalty?: number | undefined;
  top_k?: number | undefined;
  top_p?: number | undefined;
  min_p?: number | undefined;
}

/** @returns [vocabulary] probabilities, 0 for what was filtered out */
export function naiveProbabilities(
  logits: ArrayLike<number>,
  { temperature, repetition_penalty = 1, top_k, top_p, min_p }: NaiveFilters,
  text: readonly number[] = [],
): number[] {
  const seen = new Set(text);
  const scores = Array.from(logits, (logit, token) => {
    if (!seen.has(token) || repetition_penalty === 1) return logit / temperature;
    return Math.fround(logit < 0 ? logit * repetition_penalty : logit / repetition_penalty) / temperature;
  });
  let kept = scores.map(() => true);
  const shares = () => {
    const most = Math.max(...scores.filter((_, i) => kept[i]));
    const weights = scores.map((score, i) => (kept[i] ? Math.exp(score - most) : 0));
    const total = weights.reduce((a, b) => a + b, 0);
    return weights.map((weight) => weight / total);
  };
  if (top_k !== undefined) {
    const least = [...scores].sort((a, b) => b - a)[Math.min(top_k, scores.length) - 1];
    kept = scores.map((score) => score >= least);
  }
  if (top_p !== undefined && top_p < 1) {
    const p = shares();
    const rising = [...p.keys()].sort((a, b) => scores[a] - scores[b] || a - b);
    let below = 0;
    for (const token of rising.slice(0, -1)) {
      below += p[token];
      if (below <= 1 - top_p) kept[token] = false;
    }
  }
  if (min_p !== undefined) {
    const p = shares();
    const least = min_p * Math.max(...p);
    kept = kept.map((was, i) => was && p[i] >= least);
  }
  return shares();
}
