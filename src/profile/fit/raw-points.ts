/**
 * Points beside the curves: what a block costs by the passes of one place of the grid alone, in each third of the sweep.
 * They show how far measurements scatter around a curve, and whether it misses a context altogether. Nothing is predicted
 * from them.
 *
 * At q > 1 they are plain differences: a pass of the whole target less one of attention alone, in the same visit, is what
 * all MLPs take, and the other way round. No draft step has one kind of block alone. So at q = 1 the passes there are
 * solved for their parts by least squares, the blocks of a kind alike and no context but this one.
 */
import { median } from "simple-statistics";
import { BLOCK_KINDS, type BlockKind, blockKind, KERNEL_NAMES } from "../../schema/choice.js";
import type { ProfilePoint } from "../../schema/profile.js";
import { hundredths } from "../../stats/numbers.js";
import { isTarget, type Observation, type SweepPass } from "../sweep/pass.js";
import type { Steadied } from "./drift.js";
import { fitLine, type PointCosts, straight, targetTimes } from "./line-fit.js";

export type RawPoints = NonNullable<ProfilePoint["raw"]>;

const THIRDS = 3;
/** Fewer rounds than that have too few passes of a place for all its parts. */
const LEAST_ROUNDS = 4;

/** Consecutive rounds, as equal in number as can be: what a slow spell disturbs is then in one of them. */
function thirdsOf<O extends Observation>(observations: readonly O[], rounds: number): O[][] {
  const count = Math.max(1, Math.min(THIRDS, Math.floor(rounds / LEAST_ROUNDS)));
  return Array.from({ length: count }, (_, third) =>
    observations.filter(({ round }) => Math.floor((round * count) / rounds) === third),
  );
}

/** The passes of one place of the grid. */
export interface Place {
  /** drift taken out */
  seen: readonly Observation[];
  /** slow-downs of whole visits too, by the whole target's passes: its own are hardly a measurement any more */
  steadied: readonly Steadied[];
}

/** @param rounds of the whole sweep */
export function rawPoints({ seen, steadied }: Place, layers: number, rounds: number): RawPoints {
  const thirds = <O extends Observation>(observations: readonly O[]) =>
    thirdsOf(observations, rounds).filter((third) => third.some(isTarget));
  const isStep = steadied.every(({ query }) => query === 1);
  const parts = isStep ? steps(thirds(steadied), layers) : verifications(thirds(steadied), layers);
  return { ...parts, whole_target: thirds(seen).map((third) => hundredths(median(targetTimes(third)))) };
}

function steps(thirds: readonly Observation[][], layers: number): Pick<RawPoints, BlockKind> {
  const fitted = thirds.map((third) => alone(third, layers));
  const ofKind = (kind: BlockKind) => {
    const byKernel: RawPoints[BlockKind] = {};
    for (const kernel of KERNEL_NAMES) {
      const us = fitted.flatMap(({ perLayer }) => perLayer[kind][kernel]?.slice(0, 1) ?? []); // all layers are alike
      if (us.length > 0) byKernel[kernel] = us.map(hundredths);
    }
    return byKernel;
  };
  return { attn: ofKind("attn"), mlp: ofKind("mlp") };
}

/** The parts of passes at one place; every layer has its kind's cost. */
function alone(observations: readonly Observation[], layers: number): PointCosts {
  const { context } = observations[0];
  const wholeTargetUs = new Map([[context, median(targetTimes(observations))]]);
  return fitLine(observations, layers, straight([context]), { wholeTargetUs, pooled: true })(context);
}

function verifications(thirds: readonly Steadied[][], layers: number): Pick<RawPoints, BlockKind> {
  const [attn, mlp] = BLOCK_KINDS.map((kind) => {
    const found = thirds.flatMap((third) => {
      const without = differences(third, kind);
      return without.length === 0 ? [] : [hundredths(median(without) / layers)];
    });
    return found.length === 0 ? {} : { target: found };
  });
  return { attn, mlp };
}

/** What the whole target takes more than passes that leave out all blocks of this kind and nothing else, visit by visit. */
function differences(observations: readonly Steadied[], kind: BlockKind): number[] {
  return observations
    .filter((o) => lacksOnly(o, kind))
    .flatMap(({ visit, us, slowness }) => {
      const whole = observations.filter((o) => o.visit === visit && isTarget(o));
      // both divided by the same: a pass of the target is no measure of its own slow-down
      return whole.length === 0 ? [] : [median(whole.map((o) => o.us * o.slowness)) / slowness - us];
    });
}

const lacksOnly = ({ choices, head }: SweepPass, kind: BlockKind): boolean =>
  head &&
  choices.head === "target" &&
  choices.blocks.every((choice, i) => choice === (blockKind(i) === kind ? "skip" : "target"));
