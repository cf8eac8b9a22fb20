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

/** What followed a place where some of the text's last tokens stood before. */
export interface Branch {
  /** of the n-gram that stood there */
  readonly tokens: number;
  /** first tokens of its continuation that one of a branch before it has as well */
  readonly shared: number;
  readonly continuation: readonly number[];
}

/** Places that are looked at for branches, at most: a common token stood in thousands. */
const MOST_PLACES = 32;

/** A node's number fits 2^32 and a token's id 2^21: their pair is a whole number that a double holds exactly. */
const TOKENS = 2 ** 21;

function commonTokens(a: readonly number[], b: readonly number[]): number {
  const differing = a.findIndex((token, i) => token !== b[i]);
  return differing === -1 ? a.length : differing;
}

export class NgramIndex {
  private readonly text: number[] = [];
  /** (node of the tokens before · TOKENS + token) -> node; the node of no tokens is 0 */
  private readonly nodes = new Map<number, number>();
  /** [nodes] index behind the n-gram's last occurrence */
  private readonly lastAt: number[] = [0];
  /** [text · max] of the n-gram of each length that ends with a token the index behind its occurrence before; 0: none */
  private readonly before: number[] = [];
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
    return followedAt === null ? [] : this.from(followedAt, count);
  }

  /**
   * Continuations that differ, from several places: of the longest n-gram at the text's end first, of one length the most
   * recent first. The first is that of `match()`.
   * @param most  branches at most
   * @param count tokens of each
   * @param least tokens of the shortest n-gram that is gone on with
   */
  branches(most: number, count: number, least = 1): Branch[] {
    const found: Branch[] = [];
    let places = 0;
    for (let tokens = this.found.tokens; tokens >= least; tokens--)
      for (let at = this.placeBefore(this.text.length, tokens); at > 0; at = this.placeBefore(at, tokens)) {
        if (found.length === most || places++ === MOST_PLACES) return found;
        const continuation = this.from(at, count);
        const shared = Math.max(0, ...found.map((branch) => commonTokens(branch.continuation, continuation)));
        if (shared < count) found.push({ tokens, shared, continuation });
      }
    return found;
  }

  private placeBefore(end: number, tokens: number): number {
    return this.before[(end - 1) * this.max + tokens - 1];
  }

  private from(at: number, count: number): number[] {
    const { text } = this;
    const going: number[] = [];
    for (let i = at; going.length < count; i++) going.push(i < text.length ? text[i] : going[i - text.length]);
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
      this.before.push(known === undefined ? 0 : this.lastAt[node]);
      if (known === undefined) this.nodes.set(key, node);
      else [tokens, followedAt] = [n, this.lastAt[node]];
      this.lastAt[node] = end;
      if (n < this.max) ending.push(node);
    }
    for (let n = this.ending.length; n < this.max; n++) this.before.push(0); // the text is shorter
    this.ending = ending;
    this.found = { tokens, followedAt };
  }
}
