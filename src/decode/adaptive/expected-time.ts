/**
 * Expected time a token of one arm, given what is believed. A round of own blocks, of another model or of heads takes
 * c µs and yields A(x) tokens, x how hard the text is (belief.ts): E[c / A(x)]. A lookup drafts in a share m of the rounds
 * and what drafts beside it in the others, a plain step where nothing does:
 *
 *     alone    E_y [ (m·c_l + (1 − m)·step) / (m·A_l(y) + 1 − m) ]
 *     hybrid   E_x [ (m·c_l + (1 − m)·c) / (m·E_y[A_l(y)] + (1 − m)·A(x)) ]
 *
 * with y how hard it is where it matches. In the second the mean over y is taken inside: both at once would cost 29 times as
 * much, and what a lookup accepts is spread little once it is known at all.
 */
import { expectation } from "./belief.js";
import type { LookupBelief } from "./lookup-belief.js";

/** µs of the rounds of an arm, corrected by what was measured. */
export interface RoundTimes {
  /** in which the drafter itself drafts, or the one beside a lookup; of a lookup alone: a plain step */
  ownUs: number;
  /** in which a lookup drafts */
  lookupUs: number;
}

/** [COUNT] rounds per token over the grid of x. */
export interface ArmTables {
  /** null: a lookup alone */
  own: Float64Array | null;
  /** null: no lookup */
  lookup: Float64Array | null;
}

/**
 * @param own    [COUNT] what is believed of the drafter's own x
 * @param lookup what is believed of the lookup; unused where the arm has none
 */
export function expectedUs(
  { ownUs, lookupUs }: RoundTimes,
  tables: ArmTables,
  own: Float64Array,
  lookup: Pick<LookupBelief, "match" | "weights"> | null,
): number {
  if (tables.lookup === null || lookup === null) return ownUs * expectation(own, tables.own as Float64Array);
  const { match, weights } = lookup;
  const us = match * lookupUs + (1 - match) * ownUs;
  let sum = 0;
  if (tables.own === null) {
    for (let j = 0; j < weights.length; j++) sum += (weights[j] * us) / (match / tables.lookup[j] + 1 - match);
    return sum;
  }
  let looked = 0;
  for (let j = 0; j < weights.length; j++) looked += weights[j] / tables.lookup[j];
  for (let j = 0; j < own.length; j++) sum += (own[j] * us) / (match * looked + (1 - match) / tables.own[j]);
  return sum;
}

/** The same where the text is known to be so: x and y at these points of the grid, matches in this share of the rounds. */
export function certainUs(
  { ownUs, lookupUs }: RoundTimes,
  tables: ArmTables,
  own: number,
  looked: number,
  match: number,
): number {
  const tokens = tables.own === null ? 1 : 1 / tables.own[own];
  if (tables.lookup === null) return ownUs / tokens;
  return (match * lookupUs + (1 - match) * ownUs) / (match / tables.lookup[looked] + (1 - match) * tokens);
}
