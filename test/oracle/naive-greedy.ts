/**
 * Greedy decoding without a cache: the whole text again for every token. Imports nothing from src.
 * @param next the token after a text
 */
export function naiveGreedy(
  next: (ids: readonly number[]) => number,
  prompt: readonly number[],
  maxTokens: number,
  endTokens: readonly number[] = [],
): number[] {
  const ids: number[] = [];
  while (ids.length < maxTokens) {
    const token = next([...prompt, ...ids]);
    ids.push(token);
    if (endTokens.includes(token)) break;
  }
  return ids;
}

/** The next token of support/fake-engine's target, from its description alone: FNV-1a over the ids, each plus one. */
export function fakeNextToken(ids: readonly number[], vocabSize: number): number {
  let hash = 0x811c9dc5n;
  for (const id of ids) hash = fnv(hash, BigInt(id + 1));
  return Number(fnv(hash, 99n) % BigInt(vocabSize));
}

function fnv(hash: bigint, value: bigint): bigint {
  let h = hash;
  for (let byte = 0n; byte < 4n; byte++) h = ((h ^ ((value >> (8n * byte)) & 255n)) * 0x01000193n) % 2n ** 32n;
  return h;
}
