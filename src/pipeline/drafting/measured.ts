/** What `--drafters` of `profile` and `calibrate` means, and the trained heads that it names, opened for a model. */
import { DraftplanError } from "../../core/errors.js";
import { besideDocument } from "../../core/folders.js";
import type { LocatedHeads } from "../../decode/drafters/heads.js";
import { headsBeside } from "../../model/heads/open.js";
import { EMBEDDED } from "../../model/open.js";
import { openHeads } from "../../runtime/heads-engine.js";
import type { LoadedModel } from "../../runtime/load.js";
import type { PipelineContext } from "../context.js";
import { modelPath } from "../paths.js";

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
  const here = (path: string) => (from === undefined || path === EMBEDDED ? path : besideDocument(from, path));
  const moved = <One extends Lying>(all: One[]) =>
    all.map((one) => ({ ...one, path: modelPath(here(one.path), output) }));
  return {
    ...document,
    ...(heads === undefined ? {} : { heads: moved(heads) }),
    ...(models === undefined ? {} : { models: moved(models) }),
  };
}

/** Files that a document names. */
interface Lying {
  path: string;
}
