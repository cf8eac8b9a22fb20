/**
 * The one place where text becomes markup. A document's strings are hostile until they went through `html`: every value
 * put into its template is escaped, for text and for attributes in double quotes alike. Nothing else makes an `Html`.
 */

/** Markup. Only `html` and `trusted` make it, so that a string cannot pass for one. */
class Markup {
  constructor(readonly text: string) {}
}
export type Html = Markup;

/** What a template takes; null and false leave nothing. */
export type Part = Html | string | number | null | undefined | false | readonly Part[];

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/**
 * Characters that hide or reorder text: controls, bidirectional overrides, invisible signs, halves of surrogate pairs,
 * noncharacters. Tab and line feed are ordinary; joiners and variation selectors are parts of words and signs.
 */
const UNSEEN =
  /(?![\t\n]|\p{Join_Control}|\p{Variation_Selector})[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\ufff9-\ufffb]/gu;

const codeOf = (character: string): string =>
  `⟨U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}⟩`;

/** Unseen characters by their code, e.g. `⟨U+202E⟩`: what a reader sees is what is there. */
export const visible = (text: string): string => text.replace(UNSEEN, codeOf);

const escapeText = (text: string): string => visible(text).replace(/[&<>"']/g, (character) => ENTITIES[character]);

function textOf(part: Part): string {
  if (part === null || part === undefined || part === false) return "";
  if (part instanceof Markup) return part.text;
  if (typeof part === "string") return escapeText(part);
  if (typeof part === "number") return String(part);
  return part.map(textOf).join("");
}

/** Markup with every value escaped. Attributes stand in double quotes. */
export const html = (template: TemplateStringsArray, ...parts: Part[]): Html =>
  new Markup(template.reduce((text, piece, i) => text + textOf(parts[i - 1]) + piece));

/** Text that goes out as it is: for this program's own constants, never for anything read. */
export const trusted = (text: string): Html => new Markup(text);

/** A string of a document within running text: its writing direction stays its own. */
export const foreign = (text: string): Html => html`<bdi>${text}</bdi>`;

/** A path, its middle left out where it is very long: the end tells more than the folders before it. */
export function foreignPath(path: string): Html {
  const all = [...visible(path)];
  if (all.length <= MAX_PATH) return foreign(path);
  return foreign(`${all.slice(0, MAX_PATH / 4).join("")}…${all.slice((-3 * MAX_PATH) / 4).join("")}`);
}
const MAX_PATH = 120;

/** At most so many characters, the last one an ellipsis where something was cut. */
export function shorten(text: string, characters: number): string {
  const all = [...visible(text)];
  return all.length <= characters ? all.join("") : `${all.slice(0, Math.max(0, characters - 1)).join("")}…`;
}
