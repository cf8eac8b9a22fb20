/** What a sweep keeps after every round, so that a later one can go on from there. */
import type { Observation, QueryLineRound } from "./pass.js";

export interface Kept {
  observations: Observation[];
  queryLines: QueryLineRound[];
  /** whole rounds */
  rounds: number;
  /** that they took, fillings of the cache included */
  elapsedUs: number;
}

export interface Recorder {
  /** rounds of earlier sweeps of the same model, device, grid and seed */
  readonly kept: Kept;
  /**
   * Called after every whole round, before the next begins.
   * @param line null: no line of query lengths is measured
   */
  record(round: number, observations: readonly Observation[], line: QueryLineRound | null, elapsedUs: number): void;
}

export const nothingKept = (): Kept => ({ observations: [], queryLines: [], rounds: 0, elapsedUs: 0 });
