/** Any documents as one HTML page. */
import { isAbsolute, relative, resolve } from "node:path";
import { trendsOf } from "../check/history.js";
import { renderReport } from "../report/index.js";
import { checkBlocks } from "../schema/blocks.js";
import { type AnyDocument, type Loaded, readDocument } from "../schema/document.js";
import { extendProfile, openLatency } from "../solve/index.js";
import type { PipelineContext } from "./context.js";

/**
 * @param paths   documents of any kind; one given twice is shown once
 * @param created the page's own date
 * @throws what reading documents throws
 */
export function reportOn(
  paths: readonly string[],
  created: Date,
  context: Pick<PipelineContext, "note">,
): { html: string; documents: number } {
  const documents = distinct(paths.map(read), context);
  const html = renderReport({
    documents: documents.map((loaded) => ({ ...loaded, path: shownPath(loaded.path) })),
    created: created.toISOString(),
    openCosts: (profile, toContext) => openLatency(extendProfile(profile, toContext)),
    followTrends: trendsOf,
  });
  return { html, documents: documents.length };
}

function read(path: string): Loaded<AnyDocument> {
  const loaded = readDocument(path);
  checkBlocks(loaded.document, path);
  return loaded;
}

/** The same bytes given twice, under one path or two, are one document. */
function distinct(
  loaded: readonly Loaded<AnyDocument>[],
  context: Pick<PipelineContext, "note">,
): Loaded<AnyDocument>[] {
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
