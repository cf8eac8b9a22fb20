/** Verifications of a folder over time, for each model, device and plan. */
import { statSync } from "node:fs";
import type { HistoryEntry } from "../check/history.js";
import { planName, type Trend, trendsOf } from "../check/history.js";
import { DraftplanError } from "../core/errors.js";
import { visible } from "../core/text.js";
import type { AnyDocument, Loaded } from "../schema/document.js";
import { readDocument } from "../schema/document.js";
import { yamlFilesBelow } from "./check/read.js";
import type { PipelineContext } from "./context.js";

/** Parts of names, whatever their case; undefined: every one. */
export interface HistoryFilter {
  /** of the model */
  modelName?: string | undefined;
  /** of the processor */
  device?: string | undefined;
  /** of the plan's file */
  plan?: string | undefined;
}

export interface History {
  trends: Trend[];
  leftOut: LeftOut[];
}

/**
 * Warns of what is left out and of verifications without a date.
 * @throws FILE_NOT_FOUND, FILE_UNREADABLE for the folder; OPTION_INVALID where a filter leaves nothing of what there is
 */
export async function historyOf(
  folder: string,
  filter: HistoryFilter,
  { progress }: Pick<PipelineContext, "progress">,
): Promise<History> {
  const { entries, leftOut } = await readHistory(folder, progress);
  const trends = trendsOf(selected(entries, filter, folder));
  for (const { undated } of trends)
    for (const { file } of undated)
      progress.warn("HISTORY_UNDATED", `${visible(file)} does not say when it was made (created)`);
  return { trends, leftOut };
}

async function readHistory(folder: string, progress: PipelineContext["progress"]) {
  requireFolder(folder);
  const entries: HistoryEntry[] = [];
  const leftOut: LeftOut[] = [];
  const { files, unreadable } = yamlFilesBelow(folder);
  const leaveOut = (one: LeftOut) => {
    leftOut.push(one);
    progress.warn("HISTORY_LEFT_OUT", visible(`${one.file} is left out: ${one.what}`));
  };
  for (const { file, code, message } of unreadable) leaveOut({ file, code, what: message });
  const seen = new Map<string, string>();
  for (const file of files) {
    await progress.tick();
    const read = readOne(file);
    if (read === null) continue;
    if ("code" in read) leaveOut(read);
    else if (seen.has(read.sha256))
      leaveOut({ file, code: "HISTORY_REPEATED", what: `it is the same as ${seen.get(read.sha256)}` });
    else {
      seen.set(read.sha256, file);
      entries.push(read);
    }
  }
  return { entries, leftOut };
}

/** null: YAML of others, or a document of another kind */
function readOne(file: string): HistoryEntry | LeftOut | null {
  let loaded: Loaded<AnyDocument>;
  try {
    loaded = readDocument(file, "document");
  } catch (error) {
    if (!(error instanceof DraftplanError)) return { file, code: "FILE_UNREADABLE", what: String(error) };
    const { code, what } = error;
    return code === "DOCUMENT_KIND" && !/^'draftplan\//.test(what) ? null : { file, code, what };
  }
  const { document, sha256 } = loaded;
  return document.kind === "draftplan/verification" ? { file, sha256, verification: document } : null;
}

function requireFolder(folder: string): void {
  const isFolder = statSync(folder, { throwIfNoEntry: false })?.isDirectory();
  if (isFolder === true) return;
  throw new DraftplanError({
    code: isFolder === undefined ? "FILE_NOT_FOUND" : "FILE_UNREADABLE",
    at: folder,
    what: isFolder === undefined ? "there is no such folder" : "it is a file, and a folder of verifications is needed",
    remedy: "Give the folder that verifications are kept in, such as: draftplan history plans",
  });
}

/** @throws OPTION_INVALID where a filter leaves nothing of what there is */
function selected(entries: readonly HistoryEntry[], options: HistoryFilter, folder: string): HistoryEntry[] {
  const filters: Filter[] = [
    ["--model-name", options.modelName, ({ verification }) => verification.model.name],
    ["--device", options.device, ({ verification }) => verification.device.processor],
    ["--plan", options.plan, planName],
  ];
  return filters.reduce<HistoryEntry[]>(
    (left, [flag, part, nameOf]) => {
      if (part === undefined || left.length === 0) return left;
      const matching = left.filter((entry) => nameOf(entry).toLowerCase().includes(part.toLowerCase()));
      if (matching.length === 0) throw noneOf(`${flag} ${part}`, folder, left.map(nameOf));
      return matching;
    },
    [...entries],
  );
}

type Filter = [flag: string, part: string | undefined, nameOf: (entry: HistoryEntry) => string];

/** Enough to choose from, in a message. */
const MOST_NAMED = 10;

function noneOf(at: string, folder: string, there: readonly string[]): DraftplanError {
  const distinct = [...new Set(there)];
  const more = distinct.length > MOST_NAMED ? ` and ${distinct.length - MOST_NAMED} more` : "";
  return new DraftplanError({
    code: "OPTION_INVALID",
    at,
    what: `no verification below ${folder} has this in its name`,
    remedy: visible(`There are: ${distinct.slice(0, MOST_NAMED).join(", ")}${more}.`),
  });
}

/** A file that is no part of any trend, and why. */
export interface LeftOut {
  file: string;
  code: string;
  what: string;
}
