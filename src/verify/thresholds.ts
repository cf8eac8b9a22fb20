/** Does a verification hold what was asked of it? */
import { DraftplanError } from "../core/errors.js";
import type { Verification } from "../schema/verification.js";
import { LEAST_UNITS } from "../stats/interval.js";

export interface Thresholds {
  /** the lower end of the speedup's interval must reach it */
  minSpeedup?: number | undefined;
  minAcceptance?: number | undefined;
  /** in percent, of the prediction error's absolute value */
  maxPredictionErrorPercent?: number | undefined;
}

export type Decision = NonNullable<Verification["decided"]>;
export type Requirement = Decision["failed"][number];

type Judged = Pick<Verification, "lossless" | "speedup" | "acceptance" | "prediction_error_percent">;

/**
 * What was asked for, and what of it failed. A speedup is held by its interval's lower end: by the median, a plan that
 * is just as fast as was asked for would pass every other time. A figure that does not exist was not shown to hold: where
 * fewer than four prompts were timed no speedup is sure enough, where nothing was drafted no acceptance is high enough,
 * and where nothing was predicted no error is small enough.
 */
export function decide(verification: Judged, thresholds: Thresholds): Decision {
  const { minSpeedup, minAcceptance, maxPredictionErrorPercent } = thresholds;
  const { lossless, speedup, acceptance, prediction_error_percent: error } = verification;
  const failed: Requirement[] = [];
  if (!lossless) failed.push("lossless");
  if (minSpeedup !== undefined && (speedup.low === null || speedup.low < minSpeedup)) failed.push("min_speedup");
  if (minAcceptance !== undefined && (acceptance === null || acceptance < minAcceptance)) failed.push("min_acceptance");
  if (maxPredictionErrorPercent !== undefined && (error === null || Math.abs(error) > maxPredictionErrorPercent))
    failed.push("max_prediction_error_percent");
  return {
    ...(minSpeedup === undefined ? {} : { min_speedup: minSpeedup }),
    ...(minAcceptance === undefined ? {} : { min_acceptance: minAcceptance }),
    ...(maxPredictionErrorPercent === undefined ? {} : { max_prediction_error_percent: maxPredictionErrorPercent }),
    failed,
  };
}

/** @throws OPTION_INVALID where a least speedup is asked for and there are too few prompts for an interval to hold it by */
export function requirePrompts(count: number, minSpeedup: number | undefined): void {
  if (minSpeedup === undefined || count >= LEAST_UNITS) return;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: "--min-speedup",
    what: `it is held by the lower end of the speedup's interval, and that takes ${LEAST_UNITS} prompts that can be timed: there are ${count}`,
    remedy: "Give more prompts: draftplan verify PLAN --model MODEL --prompts FILE",
  });
}
