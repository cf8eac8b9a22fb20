/** Documents as a check sees them: read already, each with the digests of its bytes and of its content. */
import { CHOICES, GREATEST_SPAN, isChoice, spanOf } from "../schema/choice.js";
import { type AnyDocument, type DocumentOf, type Kind, sha256, stringifyDocument } from "../schema/document.js";
import type { Finding } from "./findings.js";

export interface Checked<T extends AnyDocument = AnyDocument> {
  /** as the user gave it, or as it was found */
  file: string;
  document: T;
  /** of the bytes */
  sha256: string;
  /** of the document as draftplan writes it: order of keys, comments and line ends do not change it */
  contentSha256: () => string;
}

/** What became of a file that was to be read. */
export type Opened =
  | { state: "read"; checked: Checked }
  /** it is no valid document; `findings` say why */
  | { state: "faulty"; file: string; findings: Finding[] }
  | { state: "missing"; file: string };

/** Opens what a document names; the path is relative to the folder that the document lies in. */
export type OpenInput = (path: string, from: string) => Opened;

export function toChecked(file: string, document: AnyDocument, bytesSha256: string): Checked {
  let content: string | undefined;
  return {
    file,
    document,
    sha256: bytesSha256,
    contentSha256: () => (content ??= sha256(stringifyDocument(inOrder(document)))),
  };
}

/**
 * The schema orders keys that it knows, and leaves maps from blocks or choices to values as they are. Those are written
 * by model order, target first.
 */
function inOrder<T>(value: T): T {
  if (Array.isArray(value)) return value.map(inOrder) as T;
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => ({ key, inner, rank: rankOf(key) }));
  if (entries.every(({ rank }) => rank !== null)) entries.sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0));
  return Object.fromEntries(entries.map(({ key, inner }) => [key, inOrder(inner)])) as T;
}

/** Of a block's or a choice's name; null for any other key. */
function rankOf(key: string): number | null {
  const [, layer, kind] = /^(\d{1,5})\.(attn|mlp)$/.exec(key) ?? [];
  if (layer !== undefined) return 2 * Number(layer) + (kind === "attn" ? 0 : 1);
  const choice = (CHOICES as readonly string[]).indexOf(key.split("@")[0]);
  if (choice === -1 || !isChoice(key)) return null;
  return choice + (spanOf(key) ?? 0) / (2 * GREATEST_SPAN); // behind its kernel, before the next
}

export function isOfKind<K extends Kind>(checked: Checked, kind: K): checked is Checked<DocumentOf<K>> {
  return checked.document.kind === kind;
}

/**
 * Is this the document that a digest was taken of?
 * unproven: the bytes differ, but the file is not laid out as draftplan writes it, and then the digest cannot tell a
 * change of content from one of layout.
 */
export type Sameness = "same" | "changed" | "unproven";

export function sameness(recordedSha256: string, checked: Checked): Sameness {
  if (checked.sha256 === recordedSha256) return "same";
  const content = checked.contentSha256();
  if (content === recordedSha256) return "same";
  return content === checked.sha256 ? "changed" : "unproven";
}
