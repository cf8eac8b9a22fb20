/** What a sweep keeps after every round, so that a later one can go on from there. */
import type { HeadsRound } from "./heads.js";
import type { Observation, QueryLineRound } from "./pass.js";

export interface Kept {
  observations: Observation[];
  queryLines: QueryLineRound[];
  /** [rounds] null: no heads were measured in it */
  headsRounds: (HeadsRound | null)[];
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
   * @param line  null: no line of query lengths is measured
   * @param heads null: no heads are
   */
  record(
    round: number,
    observations: readonly Observation[],
    line: QueryLineRound | null,
    elapsedUs: number,
    heads: HeadsRound | null,
  ): void;
}

export const nothingKept = (): Kept => ({ observations: [], queryLines: [], headsRounds: [], rounds: 0, elapsedUs: 0 });
