/** What continues several texts side by side: `open.ts` computes it. */
import type { SavedRows } from "../cache/saved-rows.js";

/** Texts at places from 0 on, each of which has tokens of its own in the cache. */
export interface SideBySide {
  /** texts that are continued at once */
  readonly places: number;
  /** tokens that each may have, prompt included */
  readonly capacity: number;
  /**
   * Runs a prompt at a place, whatever was there: the token behind it is then at `tokens[place]`, and the state at which it
   * was chosen at `states`.
   * @param like a place whose text begins with the prompt's first `shared` tokens, fewer than the prompt has: they are
   *   copied from there, and only the rest is run
   * @throws RangeError for an empty prompt, or one that leaves no room
   */
  begin(place: number, prompt: readonly number[], like?: { place: number; shared: number }): void;
  /**
   * Puts keys and values of a text's first tokens at a place, as an engine of the same model saved them: a prompt that begins
   * there `like` the place itself runs the rest alone.
   * @throws RangeError for rows that are not a text's first, or more than there is room for
   */
  hold(place: number, rows: SavedRows): void;
  /** The next token of every place that has begun, behind the one that it has; one without room stays as it is. */
  step(): void;
  /** [places] */
  readonly tokens: BigInt64Array;
  /** [places, hiddenSize] behind the final norm */
  readonly states: Float32Array;
  /** [places, hiddenSize] the same before it: what heads are shown */
  readonly hidden: Float32Array;
  close(): void;
}
