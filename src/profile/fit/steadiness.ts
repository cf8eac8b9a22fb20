/** What a profile says of the machine it was measured on, and what it warns of. */
import { median, min, quantile } from "simple-statistics";
import type { Progress } from "../../core/progress.js";
import { hundredths } from "../../stats/numbers.js";
import type { Axes } from "../grid.js";
import type { Observation } from "../sweep/pass.js";
import { driftPercent, leftOutPercent } from "./drift.js";
import { targetTimes } from "./line-fit.js";

/** Spread of the target's passes above which the profile warns. */
const RESTLESS_PERCENT = 30;
/** Median over minimum above which it warns of contention; a quiet machine has 3 to 15. */
const CONTENTION_PERCENT = 25;
/** Visits left out as too slow above which it warns of the same: a burst need not move the median. */
const LEFT_OUT_PERCENT = 5;
/** Drift over the sweep above which it warns, */
const DRIFT_PERCENT = 5;
/** and as a share of the spread: below it, chance alone makes as much. */
const DRIFT_OF_SPREAD = 0.25;

/** How quiet the machine was, judged by the whole target's passes. */
export function steadinessOf({ contexts, queries }: Axes, observations: readonly Observation[]) {
  const cells = contexts.flatMap((n) =>
    queries.map((q) => targetTimes(observations.filter((o) => o.context === n && o.query === q))),
  );
  return {
    spread_percent: hundredths(median(cells.map((us) => (100 * (quantile(us, 0.9) - quantile(us, 0.1))) / median(us)))),
    contention_percent: hundredths(median(cells.map((us) => (100 * (median(us) - min(us))) / min(us)))),
    drift_percent: hundredths(driftPercent(observations)),
    left_out_percent: hundredths(leftOutPercent(observations)),
  };
}

export function warnOfUnrest(s: ReturnType<typeof steadinessOf>, progress: Progress): void {
  const remedy = "other work shares the processors, and the profile is rough; repeat it when they are idle";
  if (s.spread_percent > RESTLESS_PERCENT)
    progress.warn("PROFILE_SPREAD", `the target's passes spread by ${s.spread_percent.toFixed(0)} %: ${remedy}`);
  if (s.contention_percent > CONTENTION_PERCENT || s.left_out_percent > LEFT_OUT_PERCENT)
    progress.warn("PROFILE_CONTENTION", `${contention(s)}: ${remedy}`);
  if (Math.abs(s.drift_percent) > Math.max(DRIFT_PERCENT, DRIFT_OF_SPREAD * s.spread_percent))
    progress.warn(
      "PROFILE_DRIFT",
      `the machine became ${Math.abs(s.drift_percent).toFixed(0)} % ${s.drift_percent > 0 ? "slower" : "faster"} during the sweep; it is taken out, and the profile stands for the middle of the sweep`,
    );
}

/** What the warning rests on: the usual pass against the fastest, and visits left out where there were any. */
function contention(s: ReturnType<typeof steadinessOf>): string {
  const usual = `the target's usual pass takes ${s.contention_percent.toFixed(0)} % longer than its fastest`;
  const left = s.left_out_percent.toFixed(0);
  return left === "0" ? usual : `${usual}, and ${left} % of the visits were too slow to be used`;
}
