/** KnapSpec's model of attention, fitted to the measured surface for comparison. */
import { linearRegression, linearRegressionLine, mean, rSquared } from "simple-statistics";
import { KERNEL_NAMES } from "../../schema/choice.js";
import type { AttentionLine } from "../../schema/profile.js";
import type { PointCosts } from "./line-fit.js";

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
