/** How surely the tokens of a round are known from some texts. */

/** Rounds of one length along one text. */
export interface TextCount {
  rounds: number;
  /** tokens they yield, the target's own counted */
  tokens: number;
  /** which kind of text; left out: one like the others */
  kind?: number | undefined;
  /** texts with the same number are alike, and count as one; left out: alike none */
  window?: number | undefined;
}

/**
 * Standard error of the tokens of a round, as a share of them, from counts by text. The rounds of a text are alike, so a
 * text is what is drawn: it is the error of a ratio of sums over texts, by the delta method. Where texts were taken of every
 * kind by turns, how kinds differ is no chance: what is drawn are texts of each kind (a stratified sample; Cochran, Sampling
 * Techniques, 1977, section 6.11). A kind with a single text says nothing of its spread, and its text counts as one of all.
 * @returns null under two texts
 */
export function acceptedLengthError(counts: readonly TextCount[]): number | null {
  const texts = byWindow(counts).filter(({ rounds }) => rounds > 0);
  if (texts.length < 2) return null;
  const total = (key: "rounds" | "tokens") => texts.reduce((sum, count) => sum + count[key], 0);
  const mean = total("tokens") / total("rounds");
  const byKind = new Map<number | undefined, number[]>();
  for (const { rounds, tokens, kind } of texts) byKind.set(kind, [...(byKind.get(kind) ?? []), tokens - mean * rounds]);
  let variance = 0;
  for (const off of byKind.values()) {
    const n = off.length;
    const centre = n === 1 ? 0 : off.reduce((sum, x) => sum + x, 0) / n;
    const squares = off.reduce((sum, x) => sum + (x - centre) ** 2, 0);
    variance += n === 1 ? (squares * texts.length) / (texts.length - 1) : (squares * n) / (n - 1);
  }
  return Math.sqrt(variance) / total("tokens");
}

/** Texts that are alike put together. */
function byWindow(counts: readonly TextCount[]): TextCount[] {
  const found = new Map<number, TextCount>();
  const alone: TextCount[] = [];
  for (const count of counts) {
    const before = count.window === undefined ? undefined : found.get(count.window);
    if (before !== undefined) {
      before.rounds += count.rounds;
      before.tokens += count.tokens;
    } else if (count.window === undefined) alone.push(count);
    else found.set(count.window, { ...count });
  }
  return [...found.values(), ...alone];
}
