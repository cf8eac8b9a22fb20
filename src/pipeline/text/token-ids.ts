/** `--prompt-ids` and `--ids`: token ids from a JSON file. */
import { DraftplanError } from "../../core/errors.js";
import { readUserFile } from "../../core/user-file.js";
import { utf8Text } from "../../core/utf8.js";

/** far more than any context; bounds what is read, not what may be asked for */
const MAX_BYTES = 256 << 20;

export interface TokenIds {
  ids: number[];
  /** positions before it are context only */
  first: number;
}

/**
 * Reads a JSON array of token ids, or `{"ids": [...], "first": k}` where `withFirst` allows it.
 * @throws FILE_NOT_FOUND, FILE_UNREADABLE, TOKEN_IDS_INVALID with the position
 */
export function readTokenIds(path: string, { withFirst }: { withFirst: boolean }): TokenIds {
  const data = parse(utf8Text(readUserFile(path, MAX_BYTES), path), path);
  if (Array.isArray(data)) return { ids: checkIds(data, path, ""), first: 0 };
  if (!withFirst || typeof data !== "object" || data === null) {
    const forms = withFirst ? 'a JSON array of token ids or {"ids": [...], "first": k}' : "a JSON array of token ids";
    throw invalid(path, `expected ${forms}, found ${data === null ? "null" : typeof data}`);
  }
  const { ids, first = 0, ...others } = data as Record<string, unknown>;
  const [other] = Object.keys(others);
  if (other !== undefined) throw invalid(`${path}: ${other.slice(0, 60)}`, "unknown key; only ids and first are read");
  if (!Array.isArray(ids)) throw invalid(`${path}: ids`, "expected an array of token ids");
  if (typeof first !== "number" || !Number.isSafeInteger(first) || first < 0 || first >= ids.length) {
    throw invalid(
      `${path}: first`,
      `${JSON.stringify(first)} is not a position among ${ids.length} ids (0 to ${ids.length - 1})`,
    );
  }
  return { ids: checkIds(ids, path, "ids"), first };
}

/** @throws TOKEN_IDS_INVALID with the position of the first id the model does not have */
export function requireInVocabulary(ids: readonly number[], vocabSize: number, path: string): void {
  const position = ids.findIndex((id) => id >= vocabSize);
  if (position === -1) return;
  throw invalid(`${path}: [${position}]`, `token id ${ids[position]}; this model has ids 0 to ${vocabSize - 1}`);
}

function checkIds(values: readonly unknown[], path: string, key: string): number[] {
  if (values.length === 0) throw invalid(path, "the list of token ids is empty");
  values.forEach((value, position) => {
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return;
    throw invalid(
      `${path}: ${key}[${position}]`,
      `${JSON.stringify(value)?.slice(0, 60)} is not a token id (a whole number from 0)`,
    );
  });
  return values as number[];
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(
      path,
      `not valid JSON: ${cause instanceof Error ? cause.message.slice(0, 160) : String(cause)}`,
      cause,
    );
  }
}

const invalid = (at: string, what: string, cause?: unknown) =>
  new DraftplanError({
    code: "TOKEN_IDS_INVALID",
    at,
    what,
    remedy: "Give a JSON file such as: [1, 9690, 198]",
    cause,
  });
