/**
 * How the costs at one q depend on n, decided by passes that the fit did not see. It begins with attention on a straight
 * line and everything else level. What helps most is added, one thing at a time, as long as it helps: the passes of the
 * rounds left out are predicted better, by more than the standard error over those rounds.
 */
import { mean, sampleStandardDeviation } from "simple-statistics";
import type { Observation } from "../sweep/pass.js";
import { fitLine, type PointCosts, type Shape, straight, wholeTargets } from "./line-fit.js";
import { passUs } from "./predict.js";

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

/** Whether errors fell, and by more than chance. @param counts how often each of them counts */
function gain(before: readonly number[], after: readonly number[], counts: readonly number[]): number {
  const differences = before.flatMap((error, i) => new Array<number>(counts[i]).fill(error - after[i]));
  if (differences.length === 0) return 0;
  const error = differences.length < 2 ? 0 : sampleStandardDeviation(differences) / Math.sqrt(differences.length);
  const average = mean(differences);
  return average > Math.max(LEAST_GAIN, SURE * error) ? average : 0;
}

/**
 * The search for a shape, which can be repeated as other draws of the same rounds would have ended it: the errors of a
 * shape are known by round, so nothing is fitted again but shapes that no draw before came by.
 */
export class ShapeSearch {
  private readonly folds: Fold[];
  private readonly kernels: number;
  private readonly known = new Map<string, number[]>();

  /**
   * @param observations of one q, at the contexts given
   * @param tick called between fits
   * @param start what is extended
   */
  constructor(
    observations: readonly Observation[],
    private readonly layers: number,
    private readonly contexts: readonly number[],
    private readonly tick: () => Promise<void>,
    private readonly start: Shape = straight(contexts),
  ) {
    this.folds = foldsOf(observations);
    const blocks = observations.flatMap(({ choices }) => choices.blocks);
    this.kernels = new Set(blocks.filter((choice) => choice !== "skip")).size;
  }

  /** @param timesDrawn by round; default: each once */
  async choose(timesDrawn?: readonly number[]): Promise<Shape> {
    let shape = this.start;
    if (this.folds.length < 2) return shape; // nothing can be left out
    const counts = this.folds.flatMap(({ rounds }) => rounds.map(([{ round }]) => timesDrawn?.[round] ?? 1));
    let errors = await this.errorsOf(shape);
    for (;;) {
      let best: { shape: Shape; errors: number[]; gain: number } | undefined;
      for (const extended of extensions(shape, this.contexts, this.kernels)) {
        const tried = await this.errorsOf(extended);
        const gained = gain(errors, tried, counts);
        if (gained > (best?.gain ?? 0)) best = { shape: extended, errors: tried, gain: gained };
      }
      if (best === undefined) return shape;
      ({ shape, errors } = best);
    }
  }

  /** [rounds] mean relative error of each round's passes, predicted from the other folds' */
  private async errorsOf(shape: Shape): Promise<number[]> {
    const key = JSON.stringify(shape);
    let errors = this.known.get(key);
    if (errors === undefined) {
      await this.tick();
      errors = this.folds.flatMap((fold) => this.foldErrors(fold, shape));
      this.known.set(key, errors);
    }
    return errors;
  }

  private foldErrors({ kept, rounds }: Fold, shape: Shape): number[] {
    const costsAt = fitLine(kept, this.layers, shape, { wholeTargetUs: wholeTargets(kept), pooled: true });
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
  }
}
