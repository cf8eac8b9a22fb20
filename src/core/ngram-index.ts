/**
 * Where the n-grams at a text's end stood before, for all lengths up to a greatest one. The index grows by that many
 * entries a token, whatever the text's length, and is asked in as many steps.
 *
 * An n-gram is a node: that of its tokens but the last, and the last token. So two n-grams have one node exactly where they
 * are equal, and nothing is compared or mistaken.
 */

/** What stood before: the length of the n-gram, and the place behind its last occurrence; 0 and null where none did. */
export interface Match {
  readonly tokens: number;
  /** index in the text of the token that followed */
  readonly followedAt: number | null;
}

/** A node's number fits 2^32 and a token's id 2^21: their pair is a whole number that a double holds exactly. */
const TOKENS = 2 ** 21;

export class NgramIndex {
  private readonly text: number[] = [];
  /** (node of the tokens before · TOKENS + token) -> node; the node of no tokens is 0 */
  private readonly nodes = new Map<number, number>();
  /** [nodes] index behind the n-gram's last occurrence */
  private readonly lastAt: number[] = [0];
  /** [max] nodes of the 0, 1, …, max − 1 last tokens: what the next token makes n-grams of */
  private ending: number[] = [0];
  private found: Match = { tokens: 0, followedAt: null };

  /** @param max tokens of the longest n-gram, ≥ 1 */
  constructor(private readonly max: number) {}

  /** n-grams known */
  get size(): number {
    return this.nodes.size;
  }

  extend(tokens: readonly number[]): void {
    for (const token of tokens) this.push(token);
  }

  /** The longest n-gram at the text's end that stood before, where it did so last. */
  match(): Match {
    return this.found;
  }

  /**
   * What followed the match. Where that reaches the text's own end it goes on with itself: a text that repeats a few tokens
   * is taken to repeat them further.
   */
  continuation(count: number): number[] {
    const { followedAt } = this.found;
    if (followedAt === null) return [];
    const { text } = this;
    const going: number[] = [];
    for (let i = followedAt; going.length < count; i++) going.push(i < text.length ? text[i] : going[i - text.length]);
    return going;
  }

  private push(token: number): void {
    this.text.push(token);
    const end = this.text.length;
    const ending = [0];
    let [tokens, followedAt]: [number, number | null] = [0, null];
    for (let n = 1; n <= this.ending.length; n++) {
      const key = this.ending[n - 1] * TOKENS + token;
      const known = this.nodes.get(key);
      const node = known ?? this.lastAt.length;
      if (known === undefined) this.nodes.set(key, node);
      else [tokens, followedAt] = [n, this.lastAt[node]];
      this.lastAt[node] = end;
      if (n < this.max) ending.push(node);
    }
    this.ending = ending;
    this.found = { tokens, followedAt };
  }
}
