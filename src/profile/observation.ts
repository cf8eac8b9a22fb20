/** What a sweep measures. */
import type { Mask } from "./masks.js";

export interface Observation extends Mask {
  context: number;
  query: number;
  us: number;
  /** passes that were timed for it */
  passes: number;
  /** number of the visit to a context it belongs to */
  visit: number;
  /** from 0, the warm-up not counted */
  round: number;
}

/** [queries] µs of one pass of the whole target over each query length, measured in one go */
export type QueryLineRound = readonly number[];
