/** What a lookup proposes, by comparing everything with everything. Imports nothing. */

const endsWith = (text: readonly number[], end: number, ngram: readonly number[]): boolean =>
  ngram.every((token, i) => text[end - ngram.length + i] === token);

/** Length of the longest n-gram at the text's end that stood before, and where what followed it begins. */
export function naiveMatch(
  text: readonly number[],
  min: number,
  max: number,
): { tokens: number; followedAt: number | null } {
  for (let n = max; n >= min; n--) {
    if (n > text.length) continue;
    const ngram = text.slice(text.length - n);
    for (let end = text.length - 1; end >= n; end--)
      if (endsWith(text, end, ngram)) return { tokens: n, followedAt: end };
  }
  return { tokens: 0, followedAt: null };
}

/** The text as it goes on if it repeats what followed; what it repeats grows as it does. */
export function naiveLookup(text: readonly number[], min: number, max: number, count: number): number[] {
  const { followedAt } = naiveMatch(text, min, max);
  if (followedAt === null) return [];
  const whole = [...text];
  for (let i = 0; i < count; i++) whole.push(whole[followedAt + i]);
  return whole.slice(text.length);
}

/** [branches][count] what followed each place, longest match first and then latest first, without what was listed already. */
export function naiveBranches(
  text: readonly number[],
  [min, max]: readonly [number, number],
  { most, count, places }: { most: number; count: number; places: number },
): number[][] {
  const found: number[][] = [];
  let looked = 0;
  for (let n = Math.min(max, text.length); n >= min; n--) {
    const ngram = text.slice(text.length - n);
    for (let end = text.length - 1; end >= n; end--) {
      if (!endsWith(text, end, ngram)) continue;
      if (found.length === most || looked === places) return found;
      looked++;
      const whole = [...text];
      for (let i = 0; i < count; i++) whole.push(whole[end + i]);
      const going = whole.slice(text.length);
      if (!found.some((other) => other.join() === going.join())) found.push(going);
    }
  }
  return found;
}
