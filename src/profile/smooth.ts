/** What is done to the points after each was fitted by itself: attention never falls with n, and KnapSpec's line. */
import { linearRegression, linearRegressionLine, mean, rSquared } from "simple-statistics";
import { KERNEL_NAMES, type Kernel } from "../schema/choice.js";
import type { AttentionLine } from "../schema/profile.js";
import type { PointCosts } from "./fit.js";

/**
 * The nearest rising sequence in least squares: pool adjacent violators (Ayer et al. 1955).
 * @returns values of the same length, none below the one before it
 */
export function isotonic(values: readonly number[]): number[] {
  const blocks: { sum: number; count: number }[] = [];
  for (const value of values) {
    let block = { sum: value, count: 1 };
    for (
      let last = blocks.at(-1);
      last !== undefined && last.sum / last.count > block.sum / block.count;
      last = blocks.at(-1)
    ) {
      block = { sum: block.sum + last.sum, count: block.count + last.count };
      blocks.pop();
    }
    blocks.push(block);
  }
  return blocks.flatMap(({ sum, count }) => new Array<number>(count).fill(sum / count));
}

/**
 * Attention over a longer context cannot be cheaper, so where it looks so at one q the mean over layers is pooled with its
 * neighbour's. What attention gains or loses the MLP gives or takes, as far as it has it: the sum of both, which the
 * measurement knows far better than its parts, stays as it was.
 * @param line costs at one q by rising n
 */
export function riseWithContext(line: readonly PointCosts[]): PointCosts[] {
  let out = [...line];
  for (const kernel of KERNEL_NAMES) {
    const means = out.flatMap(({ perLayer }) =>
      perLayer.attn[kernel] === undefined ? [] : [mean(perLayer.attn[kernel])],
    );
    if (means.length < out.length) continue;
    const rising = isotonic(means);
    out = out.map((costs, i) =>
      rising[i] === means[i] ? costs : moveToAttention(costs, kernel, rising[i] - means[i]),
    );
  }
  return out;
}

/** Moves so many µs a layer from the MLPs to the attention, or back. */
function moveToAttention(costs: PointCosts, kernel: Kernel, us: number): PointCosts {
  const shift = (values: readonly number[], by: number): number[] => {
    const from = mean([...values]);
    const to = Math.max(0, from + by);
    return values.map((value) => (from > 0 ? (value * to) / from : to));
  };
  const { attn, mlp } = costs.perLayer;
  return {
    ...costs,
    perLayer: {
      attn: { ...attn, [kernel]: shift(attn[kernel] ?? [], us) },
      mlp: { ...mlp, [kernel]: shift(mlp[kernel] ?? [], -us) },
    },
  };
}

/**
 * KnapSpec's latency model (arXiv:2602.20217): attention at q = 1 as c1 + c2 · n, here through the mean over layers. It
 * stands beside the measured surface for comparison; nothing is predicted from it.
 */
export function attentionLines(contexts: readonly number[], steps: readonly PointCosts[]): AttentionLine[] {
  if (contexts.length < 2) return []; // no slope from one point
  return KERNEL_NAMES.flatMap((kernel) => {
    if (steps.some(({ perLayer }) => perLayer.attn[kernel] === undefined)) return [];
    const points = contexts.map((n, i) => [n, mean(steps[i].perLayer.attn[kernel] ?? [])]);
    const { m, b } = linearRegression(points);
    const flat = points.every(([, us]) => us === points[0][1]); // no variance to explain
    const r = flat ? 1 : rSquared(points, linearRegressionLine({ m, b }));
    return [{ kernel, intercept_us: b, slope_us_per_token: m, r_squared: r }];
  });
}
