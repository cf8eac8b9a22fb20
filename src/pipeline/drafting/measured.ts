/** What `--drafters` of `profile` and `calibrate` means, and the trained heads that it names, opened for a model. */
import { DraftplanError } from "../../core/errors.js";
import { besideDocument, seenFrom } from "../../core/folders.js";
import type { LocatedHeads } from "../../decode/drafters/heads.js";
import { headsBeside } from "../../model/heads/open.js";
import { modelBeside, modelSeenFrom } from "../../model/hub/cached.js";
import { openHeads } from "../../runtime/heads-engine.js";
import type { LoadedModel } from "../../runtime/load.js";
import type { PipelineContext } from "../context.js";

export interface AskedDrafters {
  /** the model's own blocks */
  self: boolean;
  /** n-grams of the text so far */
  lookup: boolean;
  /** other models */
  models: string[];
  /** folders of trained heads */
  heads: string[];
}

/**
 * @param names `self`, `lookup`, `model:PATH`, `heads:FOLDER`, or `heads` for those that lie beside the model; undefined: itself and those
 * @param model as the user named it
 * @throws OPTION_INVALID for anything else, and for `heads` where none lie beside the model
 */
export function parseMeasuredDrafters(names: readonly string[] | undefined, model: string): AskedDrafters {
  if (names === undefined) return { self: true, lookup: false, models: [], heads: besideOf(model) };
  const asked: AskedDrafters = { self: false, lookup: false, models: [], heads: [] };
  const invalid = (what: string, remedy: string) =>
    new DraftplanError({ code: "OPTION_INVALID", at: `--drafters ${names.join(",")}`, what, remedy });
  for (const name of names) {
    if (name === "self") asked.self = true;
    else if (name === "lookup") asked.lookup = true;
    else if (name.startsWith("model:") && name.length > "model:".length) asked.models.push(name.slice("model:".length));
    else if (name.startsWith("heads:") && name.length > "heads:".length) asked.heads.push(name.slice("heads:".length));
    else if (name === "heads") {
      const beside = besideOf(model);
      if (beside.length === 0)
        throw invalid(`no heads lie beside ${model}`, "Name their folder: --drafters self,heads:FOLDER.");
      asked.heads.push(...beside);
    } else
      throw invalid(
        `'${name.slice(0, 60)}' is no drafter that is measured`,
        "Use any of: self,lookup,model:PATH,heads:FOLDER.",
      );
  }
  return { ...asked, models: [...new Set(asked.models)], heads: [...new Set(asked.heads)] };
}

/** Folders of the heads that lie beside a model. */
export const besideOf = (model: string): string[] => [headsBeside(model) ?? []].flat();

/** Opens these folders of heads for a loaded model, and closes them whatever happens. @throws what openHeads throws */
export async function withHeads<Result>(
  folders: readonly string[],
  model: LoadedModel,
  { provider, threads, ortLibrary, targetPrecision, progress }: PipelineContext,
  use: (heads: LocatedHeads[]) => Promise<Result>,
): Promise<Result> {
  const opened: LocatedHeads[] = [];
  const options = { provider, threads, ortLibrary, targetPrecision };
  try {
    for (const path of folders) opened.push({ heads: await openHeads(path, model, options, progress), path });
    return await use(opened);
  } finally {
    for (const { heads } of opened) heads.close();
  }
}

/**
 * The document with its heads' folders and its models' paths as seen from where another document is to lie.
 * @param from where the document itself lies, if it has been written: its paths start there; undefined: here
 */
export function draftersRelativeTo<T extends { heads?: Lying[] | undefined; models?: Lying[] | undefined }>(
  document: T,
  output: string,
  from?: string,
): T {
  const { heads, models } = document;
  const headsHere = (path: string) => (from === undefined ? path : besideDocument(from, path));
  const modelHere = (path: string) => (from === undefined ? path : modelBeside(from, path));
  return {
    ...document,
    ...(heads === undefined
      ? {}
      : { heads: heads.map((one) => ({ ...one, path: seenFrom(output, headsHere(one.path)) })) }),
    ...(models === undefined
      ? {}
      : { models: models.map((one) => ({ ...one, path: modelSeenFrom(output, modelHere(one.path)) })) }),
  };
}

/** Files that a document names. */
interface Lying {
  path: string;
}
