/** `draftplan check --github`: annotations as workflow commands, and what a GitHub job hands to its later steps. */
import { isAbsolute, relative, resolve } from "node:path";
import type { Finding, Severity } from "../../check/findings.js";
import type { CheckResult } from "../../check/result.js";
import { appendText } from "../../core/output-file.js";
import { visibleLines } from "../../core/text.js";
import { findingLines } from "./lines.js";
import { byFile } from "./text.js";

const COMMANDS: Record<Severity, string> = { error: "error", warning: "warning", note: "notice" };

/** What GitHub sets in a job; both are files to append to. */
export interface GithubFiles {
  /** shown on the run's page */
  stepSummary: string | null;
  /** `name=value` lines: outputs of the step */
  output: string | null;
  /** the checkout; annotations name files from here */
  workspace: string | null;
}

export function githubFiles(environment: NodeJS.ProcessEnv = process.env): GithubFiles {
  const { GITHUB_STEP_SUMMARY, GITHUB_OUTPUT, GITHUB_WORKSPACE } = environment;
  return {
    stepSummary: GITHUB_STEP_SUMMARY || null,
    output: GITHUB_OUTPUT || null,
    workspace: GITHUB_WORKSPACE || null,
  };
}

/** One workflow command for each finding. */
export function annotations(result: CheckResult, workspace: string | null): string[] {
  return byFile(result).flatMap(({ file, findings }) => {
    const lines = findingLines(file, findings);
    const path = fromWorkspace(file, workspace);
    return findings.map((found, i) => annotation(found, path, lines[i]));
  });
}

function annotation({ code, severity, where, message }: Finding, path: string, line: number | null): string {
  const properties = [`file=${property(path)}`, ...(line === null ? [] : [`line=${line}`]), `title=${property(code)}`];
  return `::${COMMANDS[severity]} ${properties.join(",")}::${data(visibleLines(where === "" ? message : `${where}: ${message}`))}`;
}

/** As the runner reads them back (`escapeData` and `escapeProperty` of GitHub's own toolkit): % first. */
const data = (text: string): string => text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
const property = (text: string): string => data(text).replaceAll(":", "%3A").replaceAll(",", "%2C");

function fromWorkspace(file: string, workspace: string | null): string {
  if (workspace === null) return file.replaceAll("\\", "/");
  const path = relative(workspace, resolve(file));
  return (path.startsWith("..") || isAbsolute(path) ? file : path).replaceAll("\\", "/");
}

const OUTSIDE = "Leave out --github outside of a GitHub job.";

/** The outputs of the step, and of action.yml. */
export function appendOutputs({ regressed, inconclusive }: CheckResult, { output }: GithubFiles): void {
  if (output !== null) appendText(output, `regressed=${regressed}\ninconclusive=${inconclusive}\n`, OUTSIDE);
}

export function appendStepSummary(markdown: string, { stepSummary }: GithubFiles): void {
  if (stepSummary !== null) appendText(stepSummary, `\n${markdown}`, OUTSIDE);
}
