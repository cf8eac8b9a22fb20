export interface Piece {
  piece: string;
  score: number;
}

/**
 * SentencePiece merges whichever neighbours form the piece of highest score, leftmost first (its bpe_model.cc, and
 * llama.cpp's llm_tokenizer_spm). As byte-pair merges: every split of a piece into two symbols is a merge, ranked by
 * the piece's score. All splits of a piece, and all pieces of one score, share a rank. transformers' converter gives them
 * different ranks instead, which takes another pair than the leftmost where a run such as "aaa" merges in two ways.
 */
export function sentencePieceMerges(pieces: readonly Piece[]): { merges: [string, string][]; ranks: number[] } {
  const known = new Set(pieces.map(({ piece }) => piece));
  // a symbol is a character, in the vocabulary or not, or what an earlier merge made
  const isSymbol = (text: string): boolean =>
    known.has(text) || text.length === String.fromCodePoint(text.codePointAt(0) ?? 0).length;
  const merges: [string, string][] = [];
  const ranks: number[] = [];
  let rank = -1;
  let lastScore = Number.POSITIVE_INFINITY;
  for (const { piece, score } of pieces.toSorted((a, b) => b.score - a.score)) {
    if (score < lastScore) rank += 1;
    lastScore = score;
    for (const at of characterStarts(piece)) {
      const [left, right] = [piece.slice(0, at), piece.slice(at)];
      if (!isSymbol(left) || !isSymbol(right)) continue;
      merges.push([left, right]);
      ranks.push(rank);
    }
  }
  return { merges, ranks };
}

/** Where a piece can be cut: before each character but the first, never inside a surrogate pair. */
function characterStarts(piece: string): number[] {
  const starts: number[] = [];
  let at = 0;
  for (const character of piece) {
    if (at > 0) starts.push(at);
    at += character.length;
  }
  return starts;
}
