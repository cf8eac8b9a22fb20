/** From the costs of parts to the time of a pass. */
import { mean, median } from "simple-statistics";
import { type AttentionKernel, blockKind, blockLayer, type Choice } from "../../schema/choice.js";
import type { Observation, SweepPass } from "../sweep/pass.js";
import type { PointCosts } from "./line-fit.js";

/** Every layer at the mean of its kind. */
export function pooledCosts(costs: PointCosts): PointCosts {
  const even = (perLayer: Partial<Record<AttentionKernel, number[]>>) =>
    Object.fromEntries(
      Object.entries(perLayer).map(([kernel, us = []]) => [kernel, new Array<number>(us.length).fill(mean(us))]),
    );
  return { ...costs, perLayer: { attn: even(costs.perLayer.attn), mlp: even(costs.perLayer.mlp) } };
}

/** Predicted time of a pass with these choices. */
export function passUs(costs: PointCosts, { choices, head }: SweepPass): number {
  let us = costs.fixedUs + (head ? (costs.headUs[choices.head] ?? 0) : 0);
  choices.blocks.forEach((choice, index) => {
    if (choice === "skip") return;
    const of: Partial<Record<Choice, number[]>> = costs.perLayer[blockKind(index)];
    us += of[choice]?.[blockLayer(index)] ?? 0;
  });
  return us;
}

/** median |sum of parts - measured| in percent of the measured */
export const residualPercent = (costs: PointCosts, observations: readonly Observation[]): number =>
  median(observations.map((o) => (100 * Math.abs(passUs(costs, o) - o.us)) / o.us));
