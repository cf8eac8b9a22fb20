/** SentencePiece's BPE as its paper says it: merge the neighbours whose piece scores highest, leftmost first, until none is left. */
export function naiveSentencePiece(scores: ReadonlyMap<string, number>, text: string): string[] {
  const symbols = [...text];
  for (;;) {
    let best = -1;
    let bestScore = Number.NEGATIVE_INFINITY;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const score = scores.get(symbols[i] + symbols[i + 1]);
      if (score !== undefined && score > bestScore) [best, bestScore] = [i, score];
    }
    if (best === -1) return symbols;
    symbols.splice(best, 2, symbols[best] + symbols[best + 1]);
  }
}
