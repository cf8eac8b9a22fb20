/** Text in and out of a model. Documented at `openTokenizer`. */
export interface Tokenizer {
  /** ids with the special tokens the model's own tokenizer adds (such as a leading BOS) */
  encode(text: string): number[];
  /** ids of text in which special tokens are spelled out, nothing added (a rendered chat) */
  encodeRendered(text: string): number[];
  /** text; special tokens left out unless asked for */
  decode(ids: readonly number[], options?: { keepSpecialTokens?: boolean }): string;
  /** the prompt the model expects for a conversation. Throws CHAT_TEMPLATE_MISSING or CHAT_TEMPLATE_INVALID. */
  renderChat(messages: readonly ChatMessage[], options?: { addGenerationPrompt?: boolean }): string;
  readonly hasChatTemplate: boolean;
  /** SHA-256 of the tokenizer's definition, hex */
  readonly sha256: string;
}

export interface ChatMessage {
  role: string;
  content: string;
}

/** Turns a stream of ids into text without ever cutting a character in half. */
export interface TextStream {
  /** text that is complete now; "" while a character is unfinished */
  push(id: number): string;
  /** what is left at the end */
  end(): string;
}
