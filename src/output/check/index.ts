/** Every output of `draftplan check`: table or JSON on stdout, JUnit XML, GitHub annotations, Markdown. */
import type { CheckResult, ComparedFigure, ComparedValue } from "../../check/result.js";
import { writeText } from "../../core/output-file.js";
import type { Printer } from "../printer.js";
import { annotations, appendOutputs, appendStepSummary, type GithubFiles, githubFiles } from "./github.js";
import { checkMarkdown } from "./markdown.js";
import { checkTable } from "./table.js";
import { countOf, verdictOf } from "./text.js";

export interface CheckOutputOptions {
  /** file for JUnit XML */
  junit?: string | undefined;
  /** annotate a GitHub job, and append to its summary and outputs */
  github?: boolean | undefined;
  /** file for a Markdown summary */
  markdown?: string | undefined;
  /** a measurement that could not tell counts as failed */
  failInconclusive?: boolean | undefined;
}

/** Files come last: what is on the screen stays true where one cannot be written. @throws FILE_UNWRITABLE */
export async function outputCheck(
  result: CheckResult,
  options: CheckOutputOptions,
  context: Pick<Printer, "print" | "command" | "json" | "columns">,
  github: GithubFiles = githubFiles(),
): Promise<void> {
  const { failInconclusive = false } = options;
  if (options.github === true) {
    for (const line of annotations(result, github.workspace)) context.command(line);
  }
  if (context.json) context.print(JSON.stringify(checkJson(result, failInconclusive)));
  else for (const line of checkTable(result, context.columns, failInconclusive)) context.print(line);
  await writeFiles(result, options, github);
}

async function writeFiles(result: CheckResult, options: CheckOutputOptions, github: GithubFiles): Promise<void> {
  const { junit, markdown, failInconclusive = false } = options;
  if (junit !== undefined) {
    const { junitXml } = await import("./junit.js");
    writeText(junit, junitXml(result, failInconclusive));
  }
  if (markdown !== undefined) writeText(markdown, checkMarkdown(result, failInconclusive));
  if (options.github === true) {
    appendStepSummary(checkMarkdown(result, failInconclusive), github);
    appendOutputs(result, github);
  }
}

/** The value that `--json` prints. Strings stand as they are in the documents. */
function checkJson(result: CheckResult, failInconclusive = false) {
  const { regressed, inconclusive, findings, files, compared, decided } = result;
  return {
    verdict: verdictOf(result, failInconclusive),
    regressed,
    inconclusive,
    errors: countOf(findings, "error"),
    warnings: countOf(findings, "warning"),
    notes: countOf(findings, "note"),
    findings: findings.map(({ code, severity, file, where, message }) => ({ code, severity, file, where, message })),
    files,
    compared: compared.map(comparedJson),
    decided,
  };
}

function comparedJson({ file, range, name, baseline, candidate, changePercent }: ComparedFigure) {
  return {
    file,
    range,
    name,
    baseline: valueJson(baseline),
    candidate: valueJson(candidate),
    change_percent: changePercent,
  };
}

const valueJson = (figure: ComparedValue | null) =>
  figure === null
    ? null
    : { value: figure.value, low: figure.interval?.[0] ?? null, high: figure.interval?.[1] ?? null };
