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

/** How a line begins that CI systems take for a command: GitHub's `::error …::` and `##[error]`, Azure's `##vso[…]`. */
const COMMAND = /^(\s*)(::|##(?=\[|vso\[))/gm;

/** Lines for a terminal or a log: what they quote cannot move the cursor, hide anything, or give a CI system a command. */
export const harmless = (text: string): string =>
  visibleLines(text).replace(
    COMMAND,
    (_, space: string, [first, second]: string) => `${space}${escaped(first)}${second}`,
  );

/** Streamed text on a terminal: it may be of any language, and keeps its line breaks, tabs, joiners and marks. */
export const withoutControls = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not reach a terminal
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, escaped);

/** `1.5 GiB` */
export const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** `1 round`, `3 rounds` */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

const AGES = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
] as const;

/** `3 days`, `12 minutes`, of so many ms; below a minute `less than a minute` */
export function ageText(ms: number): string {
  const found = AGES.find(([, unit]) => ms >= unit);
  return found === undefined ? "less than a minute" : counted(Math.floor(ms / found[1]), found[0]);
}
