/** `draftplan check` on a terminal: findings by file, figures beside the baseline's, the verdict last. */
import type { Finding } from "../../check/findings.js";
import type { CheckResult, ComparedFigure, ComparisonWords } from "../../check/result.js";
import { counted, visible } from "../../core/text.js";
import { drawTable, labelled, TABLE_COLUMNS } from "../table.js";
import { BASELINE_WORDS, byFile, changeText, countOf, type FileFindings, figureText, verdictLine } from "./text.js";

/** Beyond it lines get too long for the eye. */
const MAX_COLUMNS = 120;
/** Nobody reads more, and drawing a row takes the table library about 3 ms. */
const MAX_FINDINGS = 200;
const MAX_COMPARED = 200;

/** Lines for a terminal of so many columns. */
export function checkTable(result: CheckResult, columns: number, failInconclusive = false): string[] {
  const width = Math.min(MAX_COLUMNS, columns);
  const groups = byFile(result);
  const withFindings = groups.filter(({ findings }) => findings.length > 0);
  const clean = groups.length - withFindings.length;
  const shown = firstFindings(withFindings, result.findings.length);
  const lines = [
    ...shown.flatMap(({ file, findings }) => [heading(file), findingTable(findings, width), ""]),
    ...moreLine(result.findings.length - MAX_FINDINGS, "finding"),
    ...(shown.length > 0 && clean > 0 ? [`${counted(clean, "file")} without findings`, ""] : []),
    ...comparedLines(result.compared.slice(0, MAX_COMPARED), width, result.words),
    ...moreLine(result.compared.length - MAX_COMPARED, "compared figure"),
    ...(result.decided.length === 0 ? [] : [...result.decided.map((line) => `- ${visible(line)}`), ""]),
    verdictLine(result, failInconclusive),
  ];
  return lines.map(inert);
}

/** As many findings as are shown; where some are not, files with errors come first. */
function firstFindings(groups: readonly FileFindings[], total: number): FileFindings[] {
  if (total <= MAX_FINDINGS) return [...groups];
  const errorsFirst = [...groups].sort((a, b) => Number(hasError(b)) - Number(hasError(a)));
  let room = MAX_FINDINGS;
  return errorsFirst.flatMap(({ file, findings }) => {
    const part = findings.slice(0, room);
    room -= part.length;
    return part.length === 0 ? [] : [{ file, findings: part }];
  });
}

const hasError = ({ findings }: FileFindings): boolean => countOf(findings, "error") > 0;

const moreLine = (count: number, noun: string): string[] =>
  count <= 0 ? [] : [`${counted(count, `more ${noun}`)}: --json lists them all`, ""];

/** A GitHub runner takes `##[name]` anywhere in a line for a command, and `::name` where a line begins. */
const inert = (text: string): string => text.replaceAll("##[", "## [");

const heading = (file: string): string => {
  const name = visible(file);
  return /^\s*::/.test(name) ? `'${name}'` : name;
};

function findingTable(findings: readonly Finding[], width: number): string {
  if (width < TABLE_COLUMNS) return findings.map((finding) => findingRecord(finding, width)).join("\n\n");
  const codeWidth = Math.max(...findings.map(({ code }) => code.length)) + 2;
  const severityWidth = "│ warning ".length - 1;
  const messageWidth = Math.max(20, width - severityWidth - codeWidth - 4);
  const rows = findings.map(({ severity, code, where, message }) => {
    const text = where === "" ? visible(message) : `${visible(where)}\n${visible(message)}`;
    return [severity, code, breakWords(text, messageWidth - 2)];
  });
  return drawTable({ head: [], rows, widths: [severityWidth, codeWidth, messageWidth] }, width);
}

const findingRecord = ({ severity, code, where, message }: Finding, width: number): string =>
  labelled(
    [
      [severity.padEnd("warning".length), code],
      ...(where === "" ? [] : [["", visible(where)] as const]),
      ["", visible(message)],
    ],
    width,
  );

function comparedLines(compared: readonly ComparedFigure[], width: number, words = BASELINE_WORDS): string[] {
  const files = [...new Set(compared.map(({ file }) => file))];
  return files.flatMap((file) => {
    const rows = compared.filter((figure) => figure.file === file);
    return [`${heading(file)}, beside ${words.beside}`, comparedTable(rows, width, words), ""];
  });
}

function comparedTable(rows: readonly ComparedFigure[], width: number, words: ComparisonWords): string {
  const cells = rows.map(({ name, range, baseline, candidate, changePercent }) => [
    visible(name),
    range === null ? "all" : visible(range),
    figureText(baseline),
    figureText(candidate),
    changeText(changePercent),
  ]);
  const head = ["figure", "context", words.baseline, words.candidate, "change"];
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column].length)) + 2);
  // names are words and wrap well; figures must not
  widths[0] = Math.max(12, Math.min(widths[0], width - 6 - widths.slice(1).reduce((sum, each) => sum + each, 0)));
  const align = ["left", "right", "right", "right", "right"] as const;
  const broken = cells.map(([name, ...figures]) => [
    width < TABLE_COLUMNS ? name : breakWords(name, widths[0] - 2),
    ...figures,
  ]);
  return drawTable({ head, rows: broken, widths, align }, width);
}

/** The table library cuts off a word that is longer than its column; paths and keys are, and must stay whole. */
function breakWords(text: string, width: number): string {
  return text.replace(/\S+/gu, (word) => {
    let line = 0;
    let broken = "";
    for (const character of word) {
      const size = (character.codePointAt(0) ?? 0) < 0x300 ? 1 : 2; // at most two columns
      if (line + size > width) {
        broken += " ";
        line = 0;
      }
      broken += character;
      line += size;
    }
    return broken;
  });
}
