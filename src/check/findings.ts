/**
 * What a check can find. Codes are stable: CI configurations name them. Each is explained in docs/findings.md, and a test
 * holds the two equal. An error makes the check fail; a warning and a note do not.
 */
export type Severity = "error" | "warning" | "note";

export const FINDING_CODES = {
  /** measured side by side, the whole one-sided 99 % interval lies beyond tolerance and this machine's own noise */
  SLOWER_MEASURED: "error",
  /** time ended before the interval was narrow enough to tell */
  MEASUREMENT_INCONCLUSIVE: "warning",
  /** an emitted token is not the target's own */
  NOT_LOSSLESS: "error",
} as const satisfies Record<string, Severity>;

export type FindingCode = keyof typeof FINDING_CODES;

export interface Finding {
  code: FindingCode;
  severity: Severity;
  /** as the user gave it, or found in the folder given */
  file: string;
  /** key within the file, e.g. `segments[0].predicted.speedup`; "" for the whole file */
  where: string;
  message: string;
}

export const finding = (code: FindingCode, file: string, where: string, message: string): Finding => ({
  code,
  severity: FINDING_CODES[code],
  file,
  where,
  message,
});
