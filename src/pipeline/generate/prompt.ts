/** What a generation begins with, as token ids. */
import { DraftplanError } from "../../core/errors.js";
import type { Checkpoint } from "../../model/spec.js";
import { openTokenizer } from "../../tokenizer/open.js";
import type { Tokenizer } from "../../tokenizer/types.js";
import { readTokenIds } from "../text/token-ids.js";
import type { PromptSource } from "./types.js";

const DEFAULT_MAX_TOKENS = 256;

export interface Prompt {
  ids: number[];
  /** null where ids were given: no text is read or written then */
  tokenizer: Tokenizer | null;
  /** for errors */
  at: string;
}

/** @throws TOKEN_IDS_INVALID, what opening a tokenizer and rendering a chat throw */
export async function readPrompt(model: string, source: PromptSource): Promise<Prompt> {
  if (source.kind === "ids") {
    const { ids } = readTokenIds(source.file, { withFirst: false });
    return { ids, tokenizer: null, at: source.file };
  }
  const tokenizer = await openTokenizer(model);
  const { text } = source;
  if (source.kind === "text") return { ids: tokenizer.encode(text), tokenizer, at: "--prompt" };
  const chat = tokenizer.renderChat([{ role: "user", content: text }], { addGenerationPrompt: true });
  return { ids: tokenizer.encodeRendered(chat), tokenizer, at: "--chat" };
}

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
