import type { TextStream, Tokenizer } from "./types.js";

/** ids decoded again at each push; past it only a tail is kept */
const WINDOW = 32;
/**
 * Each id of the window writes at least one byte, so the tail holds all bytes of an unfinished character (three at
 * most), and text before them, for decoders that strip the first space.
 */
const TAIL = 8;

/**
 * Decodes a growing window of ids and gives out what it adds. An unfinished character decodes to exactly one U+FFFD at
 * the end (WHATWG Encoding, "maximal subpart"), so one U+FFFD at the end is held back until the next id or `end`.
 * The pieces joined equal `tokenizer.decode` of all ids.
 */
export function createTextStream(tokenizer: Tokenizer): TextStream {
  let ids: number[] = [];
  let text = "";
  /** UTF-16 units of `text` already given out */
  let shown = 0;

  const push = (id: number): string => {
    const longer = tokenizer.decode([...ids, id]);
    // An id that never writes anything stays out of the window. Asked twice, because the first space may be stripped.
    if (longer === text && tokenizer.decode([id, id]) === "") return "";
    ids.push(id);
    text = longer;
    const complete = text.length - unfinished(text);
    const piece = text.slice(shown, complete);
    shown = complete;
    if (ids.length > WINDOW) keepTail();
    return piece;
  };

  const keepTail = (): void => {
    ids = ids.slice(-TAIL);
    text = tokenizer.decode(ids);
    shown = text.length - unfinished(text);
  };

  const end = (): string => {
    const piece = text.slice(shown);
    ids = [];
    text = "";
    shown = 0;
    return piece;
  };

  return { push, end };
}

const unfinished = (text: string): number => (text.endsWith("\uFFFD") ? 1 : 0);
