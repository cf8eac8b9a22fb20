/**
 * `draftplan check --junit FILE`: JUnit XML as Jenkins' junit-10 schema has it, which GitLab reads too.
 * One suite and one test case for each file checked.
 */
import { create } from "xmlbuilder";
import type { Finding } from "../../check/findings.js";
import type { CheckResult } from "../../check/result.js";
import { visible, visibleLines } from "../../core/text.js";
import { byFile, countLine, countOf, type FileFindings } from "./text.js";

/** Jenkins shows what stands before the last dot as a package, and what follows as a class. */
const CLASS_NAME = "draftplan.check";
/** `visible` leaves nothing that XML 1.0 forbids; should it ever, the character goes, not the report. */
const OPTIONS = { encoding: "UTF-8", invalidCharReplacement: "\ufffd" };

export function junitXml(result: CheckResult, failInconclusive = false): string {
  const suites = byFile(result).map((group) => ({ group, state: stateOf(group.findings, failInconclusive) }));
  const root = create("testsuites", OPTIONS);
  root.att({
    name: "draftplan check",
    tests: String(suites.length),
    failures: String(suites.filter(({ state }) => state === "failed").length),
    errors: "0",
  });
  for (const { group, state } of suites) {
    const suite = root.ele("testsuite", {
      name: visible(group.file),
      tests: "1",
      failures: state === "failed" ? "1" : "0",
      errors: "0",
      skipped: state === "skipped" ? "1" : "0",
    });
    const testCase = suite.ele("testcase", { name: visible(group.file), classname: CLASS_NAME });
    for (const { element, attributes, text } of outcome(group, state)) testCase.ele(element, attributes, text);
  }
  return `${root.end({ pretty: true })}\n`;
}

type State = "passed" | "failed" | "skipped";

/** A measurement that could not tell is `skipped`: neither passed nor failed. */
function stateOf(findings: readonly Finding[], failInconclusive: boolean): State {
  if (countOf(findings, "error") > 0) return "failed";
  if (!findings.some(({ code }) => code === "MEASUREMENT_INCONCLUSIVE")) return "passed";
  return failInconclusive ? "failed" : "skipped";
}

interface Outcome {
  element: "failure" | "skipped" | "system-out";
  attributes: Record<string, string>;
  text: string;
}

/** One element holds all findings of a file: readers of JUnit XML show the first and drop others. */
function outcome({ findings }: FileFindings, state: State): Outcome[] {
  if (findings.length === 0) return [];
  const text = findings.map(findingLine).join("\n");
  const [first] = findings;
  switch (state) {
    case "passed":
      return [{ element: "system-out", attributes: {}, text }];
    case "failed":
    case "skipped": {
      const message =
        findings.length === 1 ? `${first.code}: ${visible(first.message)}` : `${first.code}, of ${countLine(findings)}`;
      const attributes = { type: first.code, message };
      return [{ element: state === "failed" ? "failure" : "skipped", attributes, text }];
    }
  }
}

const findingLine = ({ severity, code, where, message }: Finding): string =>
  `${severity} ${code}${where === "" ? "" : ` at ${visible(where)}`}: ${visibleLines(message)}`;
