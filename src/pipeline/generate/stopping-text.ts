/** The text of one continuation as its tokens come, up to a text that it is to stop at. */
import { createTextStream } from "../../tokenizer/stream.js";
import type { Tokenizer } from "../../tokenizer/types.js";
import type { TextSink } from "./types.js";

/**
 * A stop text may begin in one token and end in another, so what may be the beginning of one is held back until it is
 * clear. The token that completes one is the last; of several that it completes the one that begins first counts.
 */
export class StoppingText {
  private readonly stream;
  private whole = "";
  /** UTF-16 units of it that were written */
  private written = 0;
  private stopped = false;

  constructor(
    tokenizer: Pick<Tokenizer, "decode">,
    private readonly stops: readonly string[],
    private readonly sink: TextSink | null,
  ) {
    this.stream = createTextStream(tokenizer as Tokenizer);
  }

  /** The text without what it stopped at. */
  get text(): string {
    return this.whole;
  }

  /** @returns how many of these tokens are taken where one of them completes a stop text, itself too; null: all of them */
  take(ids: readonly number[]): number | null {
    for (const [i, id] of ids.entries()) {
      const before = this.whole.length;
      this.whole += this.stream.push(id);
      const at = this.firstStop(before);
      if (at === null) continue;
      this.whole = this.whole.slice(0, at);
      this.stopped = true;
      return i + 1;
    }
    return null;
  }

  /** Writes what can no longer be the beginning of a stop text. */
  write(): void {
    this.writeTo(this.stopped ? this.whole.length : this.whole.length - this.heldBack());
  }

  /** The continuation is over, or interrupted. */
  end(): void {
    if (!this.stopped) this.whole += this.stream.end();
    this.writeTo(this.whole.length);
    this.sink?.end("");
  }

  private writeTo(end: number): void {
    if (end > this.written) this.sink?.write(this.whole.slice(this.written, end));
    this.written = Math.max(this.written, end);
  }

  /** Where the first stop text begins that ends behind `before`. */
  private firstStop(before: number): number | null {
    const found = this.stops
      .map((stop) => this.whole.indexOf(stop, Math.max(0, before - stop.length + 1)))
      .filter((at) => at !== -1);
    return found.length === 0 ? null : Math.min(...found);
  }

  /** Length of the longest end of the text that some stop text begins with. */
  private heldBack(): number {
    let most = 0;
    for (const stop of this.stops)
      for (let length = Math.min(stop.length - 1, this.whole.length); length > most; length--)
        if (this.whole.endsWith(stop.slice(0, length))) most = length;
    return most;
  }
}
