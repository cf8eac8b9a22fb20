/** What one `draftplan check` found, as every output of it needs it. */
import type { Finding } from "./findings.js";

/** One figure of the candidate beside the baseline's: a row of the table. */
export interface ComparedFigure {
  /** the candidate's file, as the user gave it or as it was found in a folder */
  file: string;
  /** context range the figure belongs to, `0–512`; null for the whole document */
  range: string | null;
  /** what is compared, with its unit: `measured speedup`, `predicted tokens per second` */
  name: string;
  /** null where the document has none */
  baseline: ComparedValue | null;
  candidate: ComparedValue | null;
  /** (candidate / baseline - 1) · 100; null where either is missing or the two are not to be compared (other device) */
  changePercent: number | null;
}

export interface ComparedValue {
  value: number;
  /** 95 % interval of a measured figure; null where the document has none */
  interval: readonly [number, number] | null;
}

export interface CheckResult {
  /** documents that were checked, in order, as the user gave them or as they were found in a folder given */
  files: string[];
  findings: Finding[];
  /** the candidate is slower than the baseline by more than the tolerance */
  regressed: boolean;
  /** --measure ended before it could tell */
  inconclusive: boolean;
  /** empty without --baseline */
  compared: ComparedFigure[];
  /** which criterion decided, one line each; empty where nothing was compared */
  decided: string[];
  /** what candidates are held against, where that is no baseline */
  words?: ComparisonWords;
}

/** How outputs call the two columns of figures. */
export interface ComparisonWords {
  /** behind `beside` */
  beside: string;
  baseline: string;
  candidate: string;
  /** what `regressed` means */
  regressed: string;
}

/** What holding candidates against a baseline adds to a result. */
export type Comparison = Pick<CheckResult, "findings" | "regressed" | "compared" | "decided">;
