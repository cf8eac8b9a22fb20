/**
 * What interrupted work had finished, in a file: a header that says what all of it depends on, then a line for every part, on
 * the disk before the next one begins. A last line that a crash cut off is dropped.
 */
import { existsSync } from "node:fs";
import { appendText, writeText } from "../../core/output-file.js";
import { readNamedFile } from "../../core/user-file.js";

/** A thousand prompts of some hundred tokens have 20 MiB, a comparison of many methods on a hundred prompts some 30. */
const MAX_BYTES = 256 << 20;

const GO_ON = "Make room there, and run the same command again: it goes on from here.";

const rowOf = (line: unknown): string => `${JSON.stringify(line)}\n`;

export class KeptLines<Line> {
  /** those that an earlier run left, where they fit */
  readonly found: readonly Line[];
  /** the whole file as it should be, until this run has written to it */
  private start: string | null;

  /**
   * @param header plain data, as JSON has it
   * @param lineOf a line as it should be; null for any other
   * @param ignored told why a file that is there does not fit
   */
  constructor(
    readonly path: string,
    header: Readonly<Record<string, unknown>>,
    lineOf: (row: unknown) => Line | null,
    ignored: (why: string) => void,
  ) {
    const read = existsSync(path) ? readLines(path, header, lineOf) : [];
    if (typeof read === "string") ignored(read);
    this.found = typeof read === "string" ? [] : read;
    this.start = [header, ...this.found].map(rowOf).join("");
  }

  /** @throws FILE_UNWRITABLE */
  add(line: Line): void {
    if (this.start === null) appendText(this.path, rowOf(line), GO_ON);
    else writeText(this.path, this.start + rowOf(line)); // whole, without the torn line of a crash
    this.start = null;
  }
}

/** @returns the lines of a file that fits; why it does not */
function readLines<Line>(
  path: string,
  header: Readonly<Record<string, unknown>>,
  lineOf: (row: unknown) => Line | null,
): Line[] | string {
  let rows: string[];
  try {
    rows = readNamedFile(path, MAX_BYTES).toString("utf8").split("\n");
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const [first, ...rest] = rows.filter((row) => row !== "");
  const theirs = parsed(first);
  if (typeof theirs !== "object" || theirs === null) return "its first line is not a header";
  const keys = [...new Set([...Object.keys(header), ...Object.keys(theirs)])];
  const different = keys.filter(
    (key) => JSON.stringify(header[key]) !== JSON.stringify((theirs as Record<string, unknown>)[key]),
  );
  if (different.length > 0) return `it was made with another ${different.join(", ")}`;
  const lines = rest.map((row) => lineOf(parsed(row)));
  const broken = lines.indexOf(null);
  if (broken !== -1 && broken < lines.length - 1) return `line ${broken + 2} is not readable`;
  return lines.filter((line) => line !== null);
}

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}
