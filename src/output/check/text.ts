/** What every output of `draftplan check` shares: findings by file, the verdict, figures. */

import type { Finding, Severity } from "../../check/findings.js";
import type { CheckResult, ComparisonWords } from "../../check/result.js";
import { counted } from "../../core/text.js";
import { significant } from "../../stats/numbers.js";

export interface FileFindings {
  file: string;
  findings: Finding[];
}

/** Findings of every file: those that were checked, in their order, then others that a finding names. */
export function byFile({ files, findings }: Pick<CheckResult, "files" | "findings">): FileFindings[] {
  const groups = new Map<string, Finding[]>(files.map((file) => [file, []]));
  for (const found of findings) {
    const group = groups.get(found.file);
    if (group === undefined) groups.set(found.file, [found]);
    else group.push(found);
  }
  return [...groups].map(([file, found]) => ({ file, findings: bySeverity(found) }));
}

const RANK: Record<Severity, number> = { error: 0, warning: 1, note: 2 };
const bySeverity = (findings: readonly Finding[]): Finding[] =>
  [...findings].sort((a, b) => RANK[a.severity] - RANK[b.severity]);

export type Verdict = "passed" | "failed" | "inconclusive";

/**
 * A measurement that could not tell is never called passed.
 * @param failInconclusive what --fail-inconclusive asks for
 */
export function verdictOf({ findings, regressed, inconclusive }: CheckResult, failInconclusive = false): Verdict {
  if (regressed || findings.some(({ severity }) => severity === "error")) return "failed";
  if (inconclusive) return failInconclusive ? "failed" : "inconclusive";
  return "passed";
}

export const countOf = (findings: readonly Finding[], severity: Severity): number =>
  findings.filter((found) => found.severity === severity).length;

/** `2 errors, 1 warning`; `no findings` */
export function countLine(findings: readonly Finding[]): string {
  const parts = (["error", "warning", "note"] as const).flatMap((severity) => {
    const count = countOf(findings, severity);
    return count === 0 ? [] : [counted(count, severity)];
  });
  return parts.length === 0 ? "no findings" : parts.join(", ");
}

/** How the columns are called where nothing else is said. */
export const BASELINE_WORDS: ComparisonWords = {
  beside: "the baseline",
  baseline: "baseline",
  candidate: "candidate",
  regressed: "slower than the baseline",
};

/** `failed: 3 files, 2 errors, 1 warning; slower than the baseline` */
export function verdictLine(result: CheckResult, failInconclusive = false): string {
  const reasons = [
    ...(result.regressed ? [(result.words ?? BASELINE_WORDS).regressed] : []),
    ...(result.inconclusive ? ["the measurement could not tell"] : []),
  ];
  const counts = `${counted(result.files.length, "file")}, ${countLine(result.findings)}`;
  return [`${verdictOf(result, failInconclusive)}: ${counts}`, ...reasons].join("; ");
}

/** A figure as the tables show it: `1.21`, with its interval `1.21 (1.13 to 1.3)`. */
export function figureText(figure: CheckResult["compared"][number]["candidate"]): string {
  if (figure === null) return "-";
  const { value, interval } = figure;
  return interval === null ? digits(value) : `${digits(value)} (${digits(interval[0])} to ${digits(interval[1])})`;
}

export const changeText = (percent: number | null): string =>
  percent === null ? "-" : `${percent > 0 ? "+" : ""}${percent.toFixed(1)} %`;

/** Three significant digits tell all that timing can; whole numbers stay whole. */
const digits = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : String(significant(value, 3)));
