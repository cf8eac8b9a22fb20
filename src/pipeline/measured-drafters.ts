/** What `--drafters` of `profile` and `calibrate` means, and the trained heads that it names, opened for a model. */
import { DraftplanError } from "../core/errors.js";
import { besideDocument } from "../core/folders.js";
import type { LocatedHeads } from "../decode/drafters/heads.js";
import { headsBeside } from "../model/heads/open.js";
import { openHeads } from "../runtime/heads-engine.js";
import type { LoadedModel } from "../runtime/load.js";
import type { PipelineContext } from "./context.js";
import { inputRef } from "./paths.js";

export interface AskedDrafters {
  /** the model's own blocks */
  self: boolean;
  /** folders of trained heads */
  heads: string[];
}

/**
 * @param names `self`, `heads:FOLDER`, or `heads` for those that lie beside the model; undefined: itself and those
 * @param model as the user named it
 * @throws OPTION_INVALID for anything else, and for `heads` where none lie beside the model
 */
export function parseMeasuredDrafters(names: readonly string[] | undefined, model: string): AskedDrafters {
  if (names === undefined) return { self: true, heads: besideOf(model) };
  const asked: AskedDrafters = { self: false, heads: [] };
  const invalid = (what: string, remedy: string) =>
    new DraftplanError({ code: "OPTION_INVALID", at: `--drafters ${names.join(",")}`, what, remedy });
  for (const name of names) {
    if (name === "self") asked.self = true;
    else if (name.startsWith("heads:") && name.length > "heads:".length) asked.heads.push(name.slice("heads:".length));
    else if (name === "heads") {
      const beside = besideOf(model);
      if (beside.length === 0)
        throw invalid(`no heads lie beside ${model}`, "Name their folder: --drafters self,heads:FOLDER.");
      asked.heads.push(...beside);
    } else throw invalid(`'${name.slice(0, 60)}' is no drafter that is measured`, "Use any of: self,heads:FOLDER.");
  }
  return { ...asked, heads: [...new Set(asked.heads)] };
}

const besideOf = (model: string): string[] => [headsBeside(model) ?? []].flat();

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
 * The document with its heads' folders as seen from where another document is to lie.
 * @param from where the document itself lies, if it has been written: its paths start there; undefined: here
 */
export function headsRelativeTo<T extends { heads?: { path: string; sha256: string }[] | undefined }>(
  document: T,
  output: string,
  from?: string,
): T {
  if (document.heads === undefined) return document;
  const here = (path: string) => (from === undefined ? path : besideDocument(from, path));
  const moved = document.heads.map((one) => ({
    ...one,
    path: inputRef({ ...one, path: here(one.path) }, output).path,
  }));
  return { ...document, heads: moved };
}
