/** What a generation begins with, as token ids. */
import { DraftplanError } from "../../core/errors.js";
import { readUserFile } from "../../core/user-file.js";
import { utf8Text } from "../../core/utf8.js";
import type { Checkpoint } from "../../model/spec.js";
import { openTokenizer } from "../../tokenizer/open.js";
import type { ChatMessage, Tokenizer } from "../../tokenizer/types.js";
import { readTokenIds } from "../text/token-ids.js";
import type { PromptSource } from "./types.js";

export const DEFAULT_MAX_TOKENS = 256;
/** Beyond any context that a model has. */
const MAX_PROMPT_BYTES = 64 << 20;

export interface Prompt {
  ids: number[];
  /** null where ids were given: no text is read or written then */
  tokenizer: Tokenizer | null;
  /** for errors */
  at: string;
}

/** What a chat begins with: what the system says, if anything. */
export const opening = (system: string | undefined): ChatMessage[] =>
  system === undefined ? [] : [{ role: "system", content: system }];

/** @throws TOKEN_IDS_INVALID, what opening a tokenizer and rendering a chat throw */
export async function readPrompt(model: string, source: PromptSource): Promise<Prompt> {
  if (source.kind === "ids") {
    const { ids } = readTokenIds(source.file, { withFirst: false });
    return { ids, tokenizer: null, at: source.file };
  }
  const tokenizer = await openTokenizer(model);
  const text = source.text === "-" ? readStandardInput() : source.text;
  if (source.kind === "text") return { ids: tokenizer.encode(text), tokenizer, at: "--prompt" };
  const messages = [...opening(source.system), { role: "user", content: text }];
  const chat = tokenizer.renderChat(messages, { addGenerationPrompt: true });
  return { ids: tokenizer.encodeRendered(chat), tokenizer, at: "--chat" };
}

/** All of it, without the line break that commands put at its end. @throws FILE_UNREADABLE, TEXT_NOT_UTF8 */
const readStandardInput = (): string =>
  utf8Text(readUserFile("/dev/stdin", MAX_PROMPT_BYTES), "standard input").replace(/\r?\n$/, "");

/** What was asked for must fit; the default takes what room there is. @throws CONTEXT_LIMIT */
export function chooseMaxTokens(prompt: Prompt, spec: Checkpoint["spec"], asked: number | undefined): number {
  const room = spec.contextLimit - prompt.ids.length;
  const maxTokens = asked ?? Math.min(DEFAULT_MAX_TOKENS, Math.max(1, room));
  if (maxTokens <= room) return maxTokens;
  throw new DraftplanError({
    code: "CONTEXT_LIMIT",
    at: prompt.at,
    what: `${prompt.ids.length} tokens and ${maxTokens} new ones need a context of ${prompt.ids.length + maxTokens}; ${spec.name} has ${spec.contextLimit}`,
    remedy: room > 0 ? `Shorten the prompt, or use --max-tokens ${room} or less.` : "Shorten the prompt.",
  });
}
