/**
 * The tokens of the text so far that a short head was not made for, with their rows of the head: names, numbers and rare words
 * come again, and a head that had no logit for them could never draft them. Of the target's own continuations of SmolLM2-135M
 * on text kept back, 86.6 % of tokens are among the 8,192 commonest, and 96.5 % among those or in the text before them.
 *
 * What is known of a position holds for whatever is asked later: a token counts from where it first stood, so a pass over
 * earlier positions, or over several at once, sees no token of its future.
 */

/** Beyond so many the text's first ones are kept: 2.4 MB of rows of 576 numbers. */
export const MOST_TEXT_TOKENS = 1024;

/** A place whose token nobody told: hidden states stood in for it. */
const UNKNOWN = -1;

export class TextTokens {
  /** [MOST_TEXT_TOKENS, hiddenSize], as many as there are tokens */
  readonly rows: Float32Array<ArrayBuffer>;
  /** by row */
  readonly tokens: number[] = [];
  /** by row: the position at which it first stood, rising */
  readonly since: number[] = [];
  private readonly text: Int32Array;
  private length = 0;
  private readonly listed = new Set<number>();

  /**
   * @param isCommon whether every short head has this token anyhow
   * @param read     writes a token's row of the head
   */
  constructor(
    capacity: number,
    private readonly hiddenSize: number,
    private readonly isCommon: (token: number) => boolean,
    private readonly read: (token: number, into: Float32Array) => void,
  ) {
    this.text = new Int32Array(capacity);
    this.rows = new Float32Array(MOST_TEXT_TOKENS * hiddenSize);
  }

  /** These tokens stand from `position` on. Where they stood already, what is behind them is left as it is. */
  put(position: number, ids: ArrayLike<number>): void {
    let same = 0;
    while (same < ids.length && position + same < this.length && this.text[position + same] === ids[same]) same++;
    if (same === ids.length) return;
    this.cutTo(position + same);
    while (this.length < position) this.text[this.length++] = UNKNOWN;
    for (let i = same; i < ids.length; i++) this.add(ids[i]);
  }

  /** Of the tokens from `position` on these are kept, in this order: a tree's path. */
  keep(position: number, rows: ArrayLike<number>): void {
    const kept = Array.from(rows, (row) => (position + row < this.length ? this.text[position + row] : UNKNOWN));
    this.cutTo(position);
    for (const id of kept) this.add(id);
  }

  private add(id: number): void {
    const at = this.length++;
    this.text[at] = id;
    if (id === UNKNOWN || this.isCommon(id) || this.listed.has(id) || this.tokens.length === MOST_TEXT_TOKENS) return;
    const row = this.tokens.length;
    this.read(id, this.rows.subarray(row * this.hiddenSize, (row + 1) * this.hiddenSize));
    this.listed.add(id);
    this.tokens.push(id);
    this.since.push(at);
  }

  private cutTo(length: number): void {
    if (length >= this.length) return;
    this.length = length;
    while (this.since.length > 0 && this.since[this.since.length - 1] >= length) {
      this.since.pop();
      this.listed.delete(this.tokens.pop() as number);
    }
  }
}
