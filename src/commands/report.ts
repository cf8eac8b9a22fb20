/** draftplan report: any documents as one HTML page. */
import { isAbsolute, relative, resolve } from "node:path";
import { trendsOf } from "../check/history.js";
import { DraftplanError } from "../core/errors.js";
import { renderReport } from "../report/index.js";
import { checkBlocks } from "../schema/blocks.js";
import { type AnyDocument, type Loaded, readDocument, writeText } from "../schema/document.js";
import { extendProfile, openLatency } from "../solve/index.js";
import type { CommandContext } from "./context.js";

export interface ReportOptions {
  /** file to write, or `-` */
  output: string;
}

export async function reportCommand(
  paths: readonly string[],
  { output }: ReportOptions,
  context: CommandContext,
  created = new Date(),
): Promise<void> {
  refuseOutput(output, paths, context.json);
  const documents = distinct(paths.map(read), context);
  const html = renderReport({
    documents: documents.map((loaded) => ({ ...loaded, path: shownPath(loaded.path) })),
    created: created.toISOString(),
    openCosts: (profile, toContext) => openLatency(extendProfile(profile, toContext)),
    followTrends: trendsOf,
  });
  if (output === "-") {
    context.write(html);
    return;
  }
  writeText(output, html);
  if (context.json) context.print(JSON.stringify({ written: output, documents: documents.length }));
  else context.print(`Written to ${output}`);
}

function read(path: string): Loaded<AnyDocument> {
  const loaded = readDocument(path);
  checkBlocks(loaded.document, path);
  return loaded;
}

/** The same bytes given twice, under one path or two, are one document. */
function distinct(loaded: readonly Loaded<AnyDocument>[], context: CommandContext): Loaded<AnyDocument>[] {
  const byDigest = new Map<string, Loaded<AnyDocument>>();
  for (const one of loaded) {
    const first = byDigest.get(one.sha256);
    if (first === undefined) byDigest.set(one.sha256, one);
    else context.note(`${one.path} is the same document as ${first.path}, and is shown once`);
  }
  return [...byDigest.values()];
}

/** Relative to the current folder, or the name alone: a page is passed on, and folders of this machine are nobody's business. */
function shownPath(path: string): string {
  const inside = relative(".", resolve(path)).replaceAll("\\", "/");
  return inside.startsWith("../") || isAbsolute(inside) ? (inside.split("/").at(-1) ?? inside) : inside;
}

function refuseOutput(output: string, paths: readonly string[], json: boolean): void {
  if (output === "-" && json) {
    throw new DraftplanError({
      code: "USAGE",
      at: "draftplan report",
      what: "-o - and --json would both print to stdout",
      remedy: "Write the page to a file, -o report.html, or leave --json out.",
    });
  }
  if (output !== "-" && paths.some((path) => resolve(path) === resolve(output))) {
    throw new DraftplanError({
      code: "OPTION_INVALID",
      at: `-o ${output}`,
      what: "the page would take the place of a document it is made from",
      remedy: "Choose another name, such as -o report.html.",
    });
  }
}
