/** Prompts of a verification: the bundled ones, or a file of JSON lines (prompt-forms.ts). Empty lines are skipped. */

import { fileURLToPath } from "node:url";
import { DraftplanError, type ErrorCode } from "../../core/errors.js";
import type { Progress } from "../../core/progress.js";
import { counted } from "../../core/text.js";
import { readUserFile } from "../../core/user-file.js";
import { utf8Text } from "../../core/utf8.js";
import type { Tokenizer } from "../../tokenizer/types.js";
import type { VerifyPrompt } from "../../verify/index.js";
import { FORMS, PromptFormError, type PromptLine, type ReadLine, readForm } from "./prompt-forms.js";

/** Opened only where a prompt is text: a model without a tokenizer is verified with ids. */
export type OpenTokenizer = () => Promise<Tokenizer>;

/** from src/commands and dist/commands alike */
const BUNDLED = new URL("../../../assets/prompts/", import.meta.url);
const MAX_BYTES = 32 << 20;
const NAME_CHARS = 60;

/** A small varied set: instructions for a model with a chat template, prose to go on with for any other. */
export async function bundledPrompts(openTokenizer: OpenTokenizer): Promise<VerifyPrompt[]> {
  const tokenizer = await openTokenizer();
  const file = fileURLToPath(new URL(tokenizer.hasChatTemplate ? "chat.jsonl" : "prose.jsonl", BUNDLED));
  return readPrompts(file, openTokenizer);
}

/**
 * @param warn told once of each kind of text in the file that is no part of a prompt
 * @throws FILE_NOT_FOUND, FILE_UNREADABLE; DOCUMENT_SYNTAX, DOCUMENT_INVALID and TOKEN_IDS_INVALID with file and line;
 *   what the tokenizer throws, with file and line
 */
export async function readPrompts(
  file: string,
  openTokenizer: OpenTokenizer,
  warn: Progress["warn"] = () => {},
): Promise<VerifyPrompt[]> {
  const prompts: VerifyPrompt[] = [];
  const left = new Map<string, number>();
  const content = utf8Text(readUserFile(file, MAX_BYTES, "Check the path given to --prompts."), file);
  for (const [index, text] of content.split(/\r?\n/).entries()) {
    if (text.trim() === "") continue;
    const at = `${file}:${index + 1}`;
    const { line, leftOut } = parseLine(text, at);
    if (leftOut !== undefined) left.set(leftOut, (left.get(leftOut) ?? 0) + 1);
    prompts.push(await readLine(line, at, openTokenizer));
  }
  for (const [what, count] of left)
    warn("PROMPT_PARTS_LEFT_OUT", `${file}: in ${counted(count, "line")} ${what} left out, no part of the prompt`);
  if (prompts.length === 0)
    throw failure("DOCUMENT_INVALID", file, "it holds no prompt", `Write one a line: ${FORMS}.`);
  return prompts;
}

async function readLine(line: PromptLine, at: string, openTokenizer: OpenTokenizer): Promise<VerifyPrompt> {
  const ids = "ids" in line ? checkedIds(line.ids, at) : await encode(line, at, openTokenizer);
  if (ids.length === 0) throw failure("TOKEN_IDS_INVALID", at, "the prompt has no tokens", "Give at least one token.");
  return { name: nameOf(line), ids };
}

function parseLine(text: string, at: string): ReadLine {
  const remedy = `Write one prompt a line: ${FORMS}.`;
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (cause) {
    throw failure("DOCUMENT_SYNTAX", at, `not readable as JSON: ${messageOf(cause)}`, remedy, cause);
  }
  try {
    return readForm(data);
  } catch (cause) {
    if (!(cause instanceof PromptFormError)) throw cause;
    throw failure("DOCUMENT_INVALID", at, `this is not a prompt: ${cause.message}`, remedy, cause);
  }
}

function checkedIds(ids: readonly unknown[], at: string): number[] {
  const bad = ids.findIndex((id) => !Number.isSafeInteger(id) || (id as number) < 0);
  if (bad === -1) return ids as number[];
  const what = `${JSON.stringify(ids[bad])?.slice(0, 40)} is not a token id`;
  throw failure("TOKEN_IDS_INVALID", `${at}: ids[${bad}]`, what, "Give whole numbers from 0 on.");
}

async function encode(
  line: Exclude<PromptLine, { ids: unknown }>,
  at: string,
  openTokenizer: OpenTokenizer,
): Promise<number[]> {
  const tokenizer = await openTokenizer();
  try {
    if ("prompt" in line) return tokenizer.encode(line.prompt);
    return tokenizer.encodeRendered(tokenizer.renderChat(line.chat));
  } catch (error) {
    if (!(error instanceof DraftplanError)) throw error;
    throw failure(error.code, `${at}: ${error.at}`, error.what, error.remedy, error);
  }
}

/** Its beginning, on one line, without control characters. */
function nameOf(line: PromptLine): string {
  const text =
    "ids" in line
      ? `ids ${line.ids.slice(0, 16).join(" ")}`
      : "prompt" in line
        ? line.prompt
        : line.chat[line.chat.length - 1].content;
  const printable = text.replace(/[\p{C}\s]+/gu, " ").trim();
  const characters = [...printable];
  return characters.length <= NAME_CHARS ? printable : `${characters.slice(0, NAME_CHARS - 1).join("")}…`;
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

const failure = (code: ErrorCode, at: string, what: string, remedy: string, cause?: unknown) =>
  new DraftplanError({ code, at, what, remedy, cause });

/** The bundled prompts that fit this model; one that does not is left out, with a warning. */
export function fittingPrompts(
  prompts: readonly VerifyPrompt[],
  capacity: number,
  maxTokens: number,
  progress: Progress,
): VerifyPrompt[] {
  const fitting = prompts.filter(({ ids }) => ids.length + maxTokens <= capacity);
  const missing = prompts.length - fitting.length;
  if (fitting.length === 0) {
    throw new DraftplanError({
      code: "CONTEXT_LIMIT",
      at: "bundled prompts",
      what: `none fits a context of ${capacity} tokens with ${maxTokens} new ones`,
      remedy: "Give shorter prompts: draftplan verify PLAN --model MODEL --prompts FILE",
    });
  }
  if (missing > 0)
    progress.warn(
      "PROMPTS_LEFT_OUT",
      `${missing} of ${prompts.length} bundled prompts do not fit a context of ${capacity} tokens`,
    );
  return fitting;
}
