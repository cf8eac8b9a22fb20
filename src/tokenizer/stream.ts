import type { TextStream, Tokenizer } from "./types.js";

/** ids decoded again at each push; past it only a tail is kept */
const WINDOW = 32;
const TAIL = 8;
/**
 * UTF-16 units a kept tail must decode to. Eight are at least four characters, hence at least four bytes: the tail then
 * holds every byte of an unfinished character (three at most), and text before it for decoders that strip the first space.
 */
const TAIL_UNITS = 8;

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
    // An id that never writes anything must not fill the window. Asked twice: the first space may be stripped.
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
    for (let length = TAIL; length < ids.length; length *= 2) {
      const tail = tokenizer.decode(ids.slice(-length));
      if (tail.length < TAIL_UNITS) continue;
      ids = ids.slice(-length);
      text = tail;
      shown = tail.length - unfinished(tail);
      return;
    }
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
