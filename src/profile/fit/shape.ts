/**
 * How the costs at one q depend on n, decided by passes that the fit did not see. It begins with attention on a straight
 * line and everything else level. What helps most is added, one thing at a time, as long as it helps: the passes of the
 * rounds left out are predicted better, by more than the standard error over those rounds.
 */
import { mean, sampleStandardDeviation } from "simple-statistics";
import type { Observation } from "../sweep/pass.js";
import { fitLine, type PointCosts, passUs, type Shape, straight, wholeTargets } from "./line-fit.js";

const FOLDS = 4;
/** Standard errors by which the error must fall: half a dozen things are tried, and the luckiest is looked at. */
const SURE = 2.5;
/** Errors in the share of a pass; a smaller gain is rounding. */
const LEAST_GAIN = 1e-6;

/** Everything that may be added to a shape, one thing at a time. */
function extensions(shape: Shape, contexts: readonly number[], kernels: number): Shape[] {
  const found: Shape[] = contexts
    .filter((n) => !shape.attnKnots.includes(n))
    .map((n) => ({ ...shape, attnKnots: [...shape.attnKnots, n].sort((a, b) => a - b) }));
  if (contexts.length < 2) return found;
  if (!shape.attnByKernel && kernels > 1) found.push({ ...shape, attnByKernel: true });
  if (!shape.mlpRises) found.push({ ...shape, mlpRises: true });
  return found;
}

/** [rounds] mean relative error of each round's passes, predicted from the other folds'; NaN where a round has none */
function errorsByRound(folds: readonly Fold[], layers: number, shape: Shape): number[] {
  return folds.flatMap(({ kept, rounds }) => {
    const costsAt = fitLine(kept, layers, shape, { wholeTargetUs: wholeTargets(kept), pooled: true });
    const known = new Map<number, PointCosts>();
    return rounds.map((passes) =>
      mean(
        passes.map((o) => {
          const costs = known.get(o.context) ?? costsAt(o.context);
          known.set(o.context, costs);
          return Math.abs(Math.log(Math.max(passUs(costs, o), 1e-3) / o.us));
        }),
      ),
    );
  });
}

interface Fold {
  kept: Observation[];
  /** the passes left out, by round */
  rounds: Observation[][];
}

function foldsOf(observations: readonly Observation[]): Fold[] {
  const rounds = [...new Set(observations.map(({ round }) => round))].sort((a, b) => a - b);
  const count = Math.min(FOLDS, rounds.length);
  return Array.from({ length: count }, (_, fold) => {
    const out = rounds.filter((_, i) => i % count === fold);
    return {
      kept: observations.filter(({ round }) => !out.includes(round)),
      rounds: out.map((round) => observations.filter((o) => o.round === round)),
    };
  });
}

/** Whether errors fell, and by more than chance. */
function gain(before: readonly number[], after: readonly number[]): number {
  const differences = before.map((error, i) => error - after[i]);
  const error = differences.length < 2 ? 0 : sampleStandardDeviation(differences) / Math.sqrt(differences.length);
  const average = mean(differences);
  return average > Math.max(LEAST_GAIN, SURE * error) ? average : 0;
}

/**
 * @param observations of one q, at the contexts given
 * @param tick called between fits
 */
export async function chooseShape(
  observations: readonly Observation[],
  layers: number,
  contexts: readonly number[],
  tick: () => Promise<void>,
): Promise<Shape> {
  let shape = straight(contexts);
  const folds = foldsOf(observations);
  if (folds.length < 2) return shape; // nothing can be left out
  const kernels = new Set(observations.flatMap(({ choices }) => choices.blocks).filter((choice) => choice !== "skip"));
  let errors = errorsByRound(folds, layers, shape);
  for (;;) {
    let best: { shape: Shape; errors: number[]; gain: number } | undefined;
    for (const extended of extensions(shape, contexts, kernels.size)) {
      await tick();
      const tried = errorsByRound(folds, layers, extended);
      const gained = gain(errors, tried);
      if (gained > (best?.gain ?? 0)) best = { shape: extended, errors: tried, gain: gained };
    }
    if (best === undefined) return shape;
    ({ shape, errors } = best);
  }
}
