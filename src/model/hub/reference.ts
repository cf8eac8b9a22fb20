/** `hf:OWNER/NAME[@REVISION]`, and folders of the Hugging Face cache by the names they stand for. */
import { basename, dirname, resolve, sep } from "node:path";
import { DraftplanError } from "../../core/errors.js";

export interface HubReference {
  /** OWNER/NAME */
  repository: string;
  /** branch, tag or commit */
  revision: string;
}

const PREFIX = "hf:";
const DEFAULT_REVISION = "main";
/** As the hub allows them: no `--`, which separates the two in the cache, and no `..`. */
const PART = /^(?!.*(--|\.\.))[A-Za-z0-9_][\w.-]{0,95}$/;
/** As git allows them, less what could leave the folder of references. */
const REVISION = /^(?!.*(\.\.|\/\/|\/\.))[A-Za-z0-9_][\w./+-]{0,199}(?<!\/)$/;
export const COMMIT = /^[0-9a-f]{40}$/;

/** The word for the model that travels with draftplan. */
export const EMBEDDED = "embedded";

export const isHubReference = (source: string): boolean => source.startsWith(PREFIX);

/** @throws OPTION_INVALID for what is no OWNER/NAME[@REVISION] behind `hf:` */
export function parseHubReference(source: string): HubReference {
  const rest = source.slice(PREFIX.length);
  const at = rest.indexOf("@");
  const [repository, revision] = at === -1 ? [rest, DEFAULT_REVISION] : [rest.slice(0, at), rest.slice(at + 1)];
  const parts = repository.split("/");
  const valid = parts.length === 2 && parts.every((part) => PART.test(part)) && REVISION.test(revision);
  if (valid) return { repository, revision };
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: source,
    what:
      parts.length > 2
        ? "a model on the hub is hf:OWNER/NAME or hf:OWNER/NAME@REVISION; single files of it cannot be named"
        : "a model on the hub is hf:OWNER/NAME or hf:OWNER/NAME@REVISION",
    remedy:
      "Give it as in hf:HuggingFaceTB/SmolLM2-135M-Instruct; a .gguf file is given by the path it was downloaded to.",
  });
}

export const referenceText = ({ repository, revision }: HubReference): string => `${PREFIX}${repository}@${revision}`;

/** A model's page, or one below it. */
const PAGE = /^https?:\/\/(?:huggingface\.co|hf\.co)\/([\w.-]+\/[\w.-]+)(?:[/?#].*)?$/;

/** A path that is not there and looks like a name on the hub: what to write instead. null: it does not look like one */
export function hubHint(path: string): string | null {
  const [, page] = PAGE.exec(path) ?? [];
  if (page !== undefined) return `${PREFIX}${page}`;
  const parts = path.split("/");
  const named =
    parts.length === 2 && parts.every((part) => PART.test(part)) && !/\.(gguf|json|ya?ml|safetensors)$/i.test(path);
  return named ? `${PREFIX}${path}` : null;
}

/** A MODEL whose path leads nowhere. */
export function modelNotFound(path: string): DraftplanError {
  if (isHubReference(path))
    return new DraftplanError({
      code: "FILE_NOT_FOUND",
      at: path,
      what: "the Hugging Face cache does not hold this model",
      remedy: `bring it there: draftplan inspect ${path}`,
    });
  const hint = hubHint(path);
  return new DraftplanError({
    code: "FILE_NOT_FOUND",
    at: path,
    what: "no such file or folder",
    remedy:
      hint === null
        ? "check the path (relative ones start at the current folder), or use embedded as MODEL"
        : `for the model of that name on the Hugging Face hub, write ${hint}; else check the path`,
  });
}

/** Name of a repository's folder in the cache. */
export const cacheFolderName = (repository: string): string => `models--${repository.replace("/", "--")}`;

/**
 * What a folder of a Hugging Face cache is a snapshot of (`models--OWNER--NAME/snapshots/COMMIT`, as every tool of
 * theirs names it). Its own name is a hash, which tells nobody anything.
 * @returns null for any other folder
 */
export function snapshotOf(folder: string): HubReference | null {
  const path = resolve(folder);
  const revision = basename(path);
  const [, owner, name] = /^models--(?:(.+?)--)?(.+)$/.exec(path.split(sep).at(-3) ?? "") ?? [];
  if (name === undefined || !COMMIT.test(revision) || basename(dirname(path)) !== "snapshots") return null;
  return { repository: owner === undefined ? name : `${owner}/${name}`, revision };
}
