/** The value that `draftplan history --json` prints. */

import type { HistoryEntry, Trend, TrendChange } from "../../check/history.js";
import type { LeftOut } from "../../pipeline/history.js";
import { FALSE_ALARM_RATE, LEAST_OBSERVATIONS } from "../../stats/change-points.js";

export const historyJson = (trends: readonly Trend[], leftOut: readonly LeftOut[]) => ({
  trends: trends.map((trend) => ({
    model: trend.model,
    device: trend.device,
    plan: trend.plan,
    verifications: trend.dated.map(entryJson),
    undated: trend.undated.map(entryJson),
    changes: trend.changes.map((change) => changeJson(change, trend)),
    too_few: trend.tooFew,
  })),
  least_verifications: LEAST_OBSERVATIONS,
  false_alarm_rate: FALSE_ALARM_RATE,
  left_out: leftOut,
});

function entryJson({ file, sha256, verification }: HistoryEntry) {
  const { created, plan, device, lossless, speedup, tokens_per_second, acceptance } = verification;
  return {
    file,
    sha256,
    created: created ?? null,
    plan: plan.path,
    plan_sha256: plan.sha256,
    runtime: device.runtime,
    lossless,
    speedup,
    tokens_per_second,
    acceptance,
    prediction_error_percent: verification.prediction_error_percent,
  };
}

function changeJson(change: TrendChange, { dated }: Trend) {
  const { quantity, last, first, before, after, changePercent, pValue, alsoChanged } = change;
  return {
    quantity,
    last_before: dated[last].file,
    first_after: dated[first].file,
    before,
    after,
    change_percent: changePercent,
    p_value: pValue,
    also_changed: alsoChanged,
  };
}
