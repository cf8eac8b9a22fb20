/** The likeliest tokens of a row of logits, and the rank of one. */

/**
 * @param logits [rows, vocabSize]
 * @returns at most `count` tokens by falling logit, of equal ones the first; none of no chance (minus infinity)
 */
export function likeliestTokens(logits: Float32Array, row: number, vocabSize: number, count: number): number[] {
  const tokens: number[] = [];
  const values: number[] = [];
  const from = row * vocabSize;
  let least = Number.NEGATIVE_INFINITY;
  for (let token = 0; token < vocabSize; token++) {
    const logit = logits[from + token];
    if (!(logit > least)) continue;
    let at = tokens.length;
    while (at > 0 && values[at - 1] < logit) at--;
    tokens.splice(at, 0, token);
    values.splice(at, 0, logit);
    if (tokens.length > count) {
      tokens.pop();
      values.pop();
    }
    if (tokens.length === count) least = values[count - 1];
  }
  return tokens;
}

/** How many tokens are likelier than this one, or as likely and before it: 0 for the likeliest. */
export function rankOf(token: number, logits: Float32Array, row: number, vocabSize: number): number {
  const from = row * vocabSize;
  const own = logits[from + token];
  let rank = 0;
  for (let other = 0; other < vocabSize; other++) {
    const logit = logits[from + other];
    if (logit > own || (logit === own && other < token)) rank++;
  }
  return rank;
}
