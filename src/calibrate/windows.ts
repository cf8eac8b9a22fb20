/** Prompts cut from a text: windows of equal length, evenly spread, as chats for a model that has a chat template. */

/** What a user asks of a passage; the window's number picks one. */
const REQUESTS = [
  "Summarise this passage in a few sentences.",
  "Explain this to a child.",
  "What are the main points here?",
  "Write the paragraph that comes next.",
  "Who is speaking, to whom, and why?",
  "Rewrite this in modern English.",
];

/**
 * @param tokens ids of a text
 * @param length tokens of each window
 * @param count  windows; they overlap where the text is short
 * @returns the windows' ids; fewer, or none, where the text is shorter than one window
 */
export function spreadWindows(tokens: readonly number[], length: number, count: number): number[][] {
  const room = tokens.length - length;
  if (room < 0) return [];
  const starts = Array.from({ length: count }, (_, i) => Math.round((room * i) / Math.max(1, count - 1)));
  return [...new Set(starts)].map((start) => tokens.slice(start, start + length));
}

export interface TextCodec {
  /** ids with what the tokenizer adds in front */
  encode(text: string): number[];
  decode(ids: readonly number[]): string;
  /** ids of a conversation of one user message; null: the model has no chat template */
  chat: ((content: string) => number[]) | null;
}

/**
 * Prompts of about `context` tokens: every second one a request about a passage, where the model can chat.
 */
export function makePrompts(text: string, codec: TextCodec, context: number, count: number): number[][] {
  const prefix = leadingIds(codec);
  const tokens = codec.encode(text).slice(prefix.length);
  const windows = spreadWindows(tokens, Math.max(1, context - prefix.length), count);
  return windows.map((window, i) => {
    const chat = codec.chat;
    if (chat === null || i % 2 === 0) return [...prefix, ...window];
    const request = `\n\n${REQUESTS[(i >> 1) % REQUESTS.length]}`;
    const frame = chat(request).length;
    if (frame + 16 > context) return [...prefix, ...window];
    return chat(codec.decode(window.slice(0, context - frame)).trim() + request);
  });
}

/** What the tokenizer puts in front of every text (a BOS token, or nothing). */
function leadingIds(codec: TextCodec): number[] {
  const one = codec.encode("a");
  const two = codec.encode("b");
  const common = one.findIndex((id, i) => id !== two[i]);
  return common === -1 ? [] : one.slice(0, common);
}
