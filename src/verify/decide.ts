/** Does a verification hold what was asked of it? */
import type { Verification } from "../schema/verification.js";

export interface Thresholds {
  minSpeedup?: number | undefined;
  minAcceptance?: number | undefined;
  /** in percent, of the prediction error's absolute value */
  maxPredictionErrorPercent?: number | undefined;
}

export type Decision = NonNullable<Verification["decided"]>;
export type Requirement = Decision["failed"][number];

type Judged = Pick<Verification, "lossless" | "speedup" | "acceptance" | "prediction_error_percent">;

/**
 * What was asked for, and what of it failed. A figure that does not exist was not shown to hold: where nothing was
 * drafted no acceptance is high enough, and where nothing was predicted no error is small enough.
 */
export function decide(verification: Judged, thresholds: Thresholds): Decision {
  const { minSpeedup, minAcceptance, maxPredictionErrorPercent } = thresholds;
  const { lossless, speedup, acceptance, prediction_error_percent: error } = verification;
  const failed: Requirement[] = [];
  if (!lossless) failed.push("lossless");
  if (minSpeedup !== undefined && speedup.median < minSpeedup) failed.push("min_speedup");
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
