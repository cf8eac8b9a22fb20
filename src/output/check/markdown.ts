/**
 * `draftplan check --markdown FILE`: a summary for a pull request.
 *
 * What comes from documents stands in code spans and nowhere else. Nothing within a code span is markup, a mention, a
 * reference or a link, and its fence is longer than any run of backticks inside. Tables, which would end at a pipe even
 * within a code span, hold draftplan's own words and figures only.
 */
import type { Finding } from "../../check/findings.js";
import type { CheckResult, ComparedFigure } from "../../check/result.js";
import { counted, visible } from "../../core/text.js";
import {
  BASELINE_WORDS,
  byFile,
  changeText,
  countLine,
  type FileFindings,
  figureText,
  type Verdict,
  verdictOf,
} from "./text.js";

/** A comment on GitHub holds 65,536 characters. */
const MAX_CHARACTERS = 60_000;
/** Of one message: a summary with one endless message would tell nothing else. */
const MAX_MESSAGE = 1000;

export function checkMarkdown(result: CheckResult, failInconclusive = false): string {
  const groups = byFile(result).filter(({ findings }) => findings.length > 0);
  const head = [
    `### draftplan check: ${VERDICTS[verdictOf(result, failInconclusive)]}`,
    "",
    `${counted(result.files.length, "file")}, ${countLine(result.findings)}`,
    "",
    ...result.decided.flatMap((line) => [`- ${code(line)}`]),
    ...(result.decided.length > 0 ? [""] : []),
  ];
  const blocks = [...comparedBlocks(result.compared, result.words), ...groups.map(findingBlock)];
  return `${fitting(head, blocks).join("\n").trimEnd()}\n`;
}

const VERDICTS: Record<Verdict, string> = {
  passed: "passed",
  failed: "failed",
  inconclusive: "inconclusive",
};

/** Whole lines, as many as there is room for; what is left out is said. */
function fitting(head: readonly string[], blocks: readonly (readonly string[])[]): string[] {
  const lines = [...head];
  let characters = head.reduce((sum, line) => sum + line.length + 1, 0);
  for (const line of blocks.flat()) {
    characters += line.length + 1;
    if (characters > MAX_CHARACTERS)
      return [...lines, "", "More was found than fits here: see the log, or the JUnit report."];
    lines.push(line);
  }
  return lines;
}

const findingBlock = ({ file, findings }: FileFindings): string[] => [
  `**${code(file)}**`,
  "",
  ...findings.map(findingLine),
  "",
];

const findingLine = ({ severity, code: findingCode, where, message }: Finding): string =>
  `- ${severity} **${findingCode}**${where === "" ? "" : ` at ${code(where)}`}: ${code(message)}`;

function comparedBlocks(compared: readonly ComparedFigure[], words = BASELINE_WORDS): string[][] {
  const files = [...new Set(compared.map(({ file }) => file))];
  return files.map((file) => [
    `**${code(file)}**, beside ${words.beside}`,
    "",
    `| figure | context | ${words.baseline} | ${words.candidate} | change |`,
    "| --- | --- | ---: | ---: | ---: |",
    ...compared.filter((figure) => figure.file === file).map(comparedRow),
    "",
  ]);
}

function comparedRow({ name, range, baseline, candidate, changePercent }: ComparedFigure): string {
  const cells = [
    plain(name),
    plain(range ?? "all"),
    figureText(baseline),
    figureText(candidate),
    changeText(changePercent),
  ];
  return `| ${cells.join(" | ")} |`;
}

/** Words of draftplan's own; should a document's ever get here, nothing of it is markup or a link, and a row stays a row. */
const plain = (text: string): string => visible(text).replace(/[^\p{L}\p{N} (),%/–-]/gu, "");

/** A code span (CommonMark 6.1). */
export function code(text: string): string {
  const shown = [...visible(text)];
  const content = shown.length > MAX_MESSAGE ? `${shown.slice(0, MAX_MESSAGE).join("")}…` : shown.join("");
  const longest = Math.max(0, ...[...content.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  // One space is taken off each side when both sides have one. An empty span would be no span.
  const padded = /^[ `]|[ `]$/.test(content) || content === "" ? ` ${content} ` : content;
  return `${fence}${padded}${fence}`;
}
