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

/** Digits of i in base 2 behind the point, the last first: 0, 1/2, 1/4, 3/4, 1/8, … (van der Corput). */
function spread(i: number): number {
  let [value, digit] = [0, 0.5];
  for (let left = i; left > 0; left >>= 1) {
    if (left & 1) value += digit;
    digit /= 2;
  }
  return value;
}

/** Places that are looked at before a text is held to have no further window. */
const PLACES = 4;

/**
 * Windows all over a text. However many are asked for, the first ones stay the same, so a sample can be enlarged.
 * @param tokens ids of a text
 * @param length tokens of each window
 * @param count  windows; they overlap where the text is short
 * @returns the windows' ids; fewer, or none, where the text is shorter than one window
 */
export function spreadWindows(tokens: readonly number[], length: number, count: number): number[][] {
  const room = tokens.length - length;
  if (room < 0) return [];
  const starts = new Set<number>();
  for (let i = 0; i < PLACES * count && starts.size < Math.min(count, room + 1); i++)
    starts.add(Math.round(room * spread(i)));
  return [...starts].map((start) => tokens.slice(start, start + length));
}

export interface TextCodec {
  /** ids with what the tokenizer adds in front */
  encode(text: string): number[];
  decode(ids: readonly number[]): string;
  /** ids of a conversation of one user message; null: the model has no chat template */
  chat: ((content: string) => number[]) | null;
}

export interface KindPrompt {
  ids: number[];
  /** which of the texts it is from */
  kind: number;
}

/** The ids of `kindPrompts`. */
export const makePrompts = (texts: readonly string[], codec: TextCodec, context: number, count: number): number[][] =>
  kindPrompts(texts, codec, context, count).map(({ ids }) => ids);

/**
 * Prompts of about `context` tokens, from one text after another, so that every kind of text has as many; about every
 * second one is a request about a passage, where the model can chat.
 * @param texts one of each kind; one that does not fill a window is passed by
 */
export function kindPrompts(texts: readonly string[], codec: TextCodec, context: number, count: number): KindPrompt[] {
  const prefix = leadingIds(codec);
  const length = Math.max(1, context - prefix.length);
  const byText = texts
    .map((text, kind) => ({ kind, windows: spreadWindows(codec.encode(text).slice(prefix.length), length, count) }))
    .filter(({ windows }) => windows.length > 0);
  const prompts: KindPrompt[] = [];
  const most = Math.max(0, ...byText.map(({ windows }) => windows.length));
  for (let turn = 0; turn < most; turn++)
    for (let i = 0; i < byText.length; i++) {
      // each turn begins with another kind, so that whoever takes every second prompt has all kinds too
      const which = (i + turn) % byText.length;
      const { kind, windows } = byText[which];
      if (prompts.length >= count || windows[turn] === undefined) continue;
      const asked = (turn + which) % 2 === 1 ? requestAbout(windows[turn], codec, context, prompts.length >> 1) : null;
      prompts.push({ ids: asked ?? [...prefix, ...windows[turn]], kind });
    }
  return prompts;
}

/** A user's message about a passage; null where the model cannot chat or the context has no room for it. */
function requestAbout(window: readonly number[], codec: TextCodec, context: number, number: number): number[] | null {
  if (codec.chat === null) return null;
  const request = `\n\n${REQUESTS[number % REQUESTS.length]}`;
  const frame = codec.chat(request).length;
  if (frame + 16 > context) return null;
  return codec.chat(codec.decode(window.slice(0, context - frame)).trim() + request);
}

/** What the tokenizer puts in front of every text (a BOS token, or nothing). */
function leadingIds(codec: TextCodec): number[] {
  const one = codec.encode("a");
  const two = codec.encode("b");
  const common = one.findIndex((id, i) => id !== two[i]);
  return common === -1 ? [] : one.slice(0, common);
}
