/** What a sweep measures: whole passes. */
import { type ChoiceSet, targetChoices } from "../../schema/choice.js";

/** A pass to be measured. Without the head no logits are asked for: only so can its cost be told from the fixed one. */
export interface SweepPass {
  choices: ChoiceSet;
  head: boolean;
}

export const targetPass = (layers: number): SweepPass => ({ choices: targetChoices(layers), head: true });

/** the whole target, head included */
export const isTarget = ({ choices, head }: SweepPass): boolean =>
  head && choices.head === "target" && choices.blocks.every((choice) => choice === "target");

export interface Observation extends SweepPass {
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
