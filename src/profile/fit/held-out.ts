/**
 * How far the finished surface is from passes it never saw. Two questions, two sets:
 * - held out: drafts of random choices at profiled contexts, kept out of the fit; of programs, those of the deck that are;
 * - left-out context: every measured draft at a context between two others, predicted by a fit to the other contexts.
 */
import { median, quantile } from "simple-statistics";
import type { Profile } from "../../schema/profile.js";
import { isTarget, type Observation } from "../sweep/pass.js";
import { type ProgramDeck, passKey } from "../sweep/programs.js";
import { fitLine, type PointCosts, type Shape, wholeTargets } from "./line-fit.js";
import { passUs } from "./predict.js";

/** One burst of random choices in so many is kept out of the fit: enough to judge by, few enough not to be missed. */
const HELD_OUT_EVERY = 10;

type ErrorSummary = NonNullable<NonNullable<Profile["errors"]>["held_out"]>;

/** random choices: neither the target nor a corner of the design, which the fit cannot do without */
const isRandom = ({ choices }: Observation): boolean => new Set(choices.blocks).size > 1;

/** A pass that is for the fit, or to judge it by: the same in every draw of a bootstrap. */
export interface Assigned extends Observation {
  heldOut: boolean;
}

/** Programs are held out whole; else every tenth draft of random choices at each context is. */
export function holdOut(observations: readonly Observation[], deck: ProgramDeck | null = null): Assigned[] {
  if (deck !== null) {
    const judges = new Set(deck.heldOut.map(passKey));
    return observations.map((o) => ({ ...o, heldOut: judges.has(passKey(o)) }));
  }
  const seen = new Map<number, number>();
  return observations.map((o) => {
    const count = seen.get(o.context) ?? 0;
    const candidate = o.query === 1 && isRandom(o);
    if (candidate) seen.set(o.context, count + 1);
    return { ...o, heldOut: candidate && count % HELD_OUT_EVERY === HELD_OUT_EVERY - 1 };
  });
}

/** 100 · (predicted / measured − 1) of each observation */
const errorsPercent = (observations: readonly Observation[], costs: PointCosts): number[] =>
  observations.map((o) => 100 * (passUs(costs, o) / o.us - 1));

/** @param steps costs at q = 1 by context */
export function heldOutErrors(heldOut: readonly Observation[], steps: ReadonlyMap<number, PointCosts>): number[] {
  return [...steps].flatMap(([context, costs]) =>
    errorsPercent(
      heldOut.filter((o) => o.context === context),
      costs,
    ),
  );
}

/** Every inner context's drafts, predicted by a fit that never saw them. */
export function leftOutContextErrors(
  drafts: readonly Observation[],
  contexts: readonly number[],
  layers: number,
  shape: Shape,
  pooled = false,
): number[] {
  return contexts.slice(1, -1).flatMap((context) => {
    const others = drafts.filter((o) => o.context !== context);
    const without = { ...shape, attnKnots: shape.attnKnots.filter((n) => n !== context) };
    const costs = fitLine(others, layers, without, { wholeTargetUs: wholeTargets(others), pooled })(context);
    return errorsPercent(
      drafts.filter((o) => o.context === context && !isTarget(o)),
      costs,
    );
  });
}

/** null where there was nothing to judge by */
export function summariseErrors(errors: readonly number[]): ErrorSummary | null {
  if (errors.length === 0) return null;
  const sizes = errors.map(Math.abs);
  const tenth = (percent: number) => Math.round(10 * percent) / 10;
  return {
    drafts: errors.length,
    median_percent: tenth(median(sizes)),
    p90_percent: tenth(quantile(sizes, 0.9)),
    signed_percent: tenth(median([...errors])),
  };
}
