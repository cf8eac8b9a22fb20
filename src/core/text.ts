/** Text for people: counted nouns, and what documents and files may hold that must not reach a terminal as it is. */

/** What may stand in a document's strings and must not reach a terminal, a log or a page: controls, lone surrogates,
 * and marks that reorder or hide the text around them. Line breaks and tabs count as controls. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]/gu;

const escaped = (character: string): string => {
  if (character === "\n") return "\\n";
  if (character === "\t") return "\\t";
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
};

/** One line of text in which everything can be seen: `\u001b` instead of the control character. */
export const visible = (text: string): string => text.replace(UNPRINTABLE, escaped);

/** The same, line by line. */
export const visibleLines = (text: string): string =>
  text
    .split(/\r\n|[\n\r]/)
    .map(visible)
    .join("\n");

/** `1 round`, `3 rounds` */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;
