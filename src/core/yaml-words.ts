/** What is wrong with a text that is not YAML, in words of those who write documents and not of the library that reads them. */
import type { ErrorCode } from "yaml";

/** What the writer did, by the library's code of the error. */
const WORDS: Readonly<Record<ErrorCode, string>> = {
  ALIAS_PROPS: "an alias (*name) has an anchor or a tag of its own",
  BAD_ALIAS: "an alias (*name) or an anchor (&name) has no proper name",
  BAD_COLLECTION_TYPE: "a tag (!!name) does not suit what stands behind it",
  BAD_DIRECTIVE: "a line that begins with % is no directive of YAML",
  BAD_DQ_ESCAPE: "a backslash in double quotes is followed by what it cannot escape; double it, or use single quotes",
  BAD_INDENT: "a line is indented otherwise than its place asks for, or a bracket before it is not closed",
  BAD_PROP_ORDER: "an anchor or a tag stands in the wrong place",
  BAD_SCALAR_START: "a value begins with a character that needs quotes around the value",
  BLOCK_AS_IMPLICIT_KEY: "one line has two keys, or a text that holds ': ' has no quotes around it",
  BLOCK_IN_FLOW: "within brackets there is a list or map that is written by indentation",
  DUPLICATE_KEY: "a key stands twice in one map",
  IMPOSSIBLE: "it cannot be read",
  KEY_OVER_1024_CHARS: "a key is longer than 1024 characters",
  MISSING_CHAR: "a quote, a bracket, a comma or the space behind a colon is missing",
  MULTILINE_IMPLICIT_KEY: "a key goes over several lines, or a colon is missing before this line",
  MULTIPLE_ANCHORS: "one value has two anchors",
  MULTIPLE_DOCS: "the file holds multiple documents (a line --- separates them); keep one in each file",
  MULTIPLE_TAGS: "one value has two tags",
  NON_STRING_KEY: "a key is no text",
  RESOURCE_EXHAUSTION: "it is nested too deeply",
  TAB_AS_INDENT: "a line is indented by a tab; use spaces",
  TAG_RESOLVE_FAILED: "a tag (!name) is not known",
  UNEXPECTED_TOKEN: "there is something that does not belong there",
};

/** @param line counted from 1; undefined: not known */
export const yamlFault = (code: ErrorCode, line: number | undefined): string =>
  `${WORDS[code] ?? WORDS.IMPOSSIBLE}${line === undefined ? "" : `, at line ${line}`}`;

/** What the library throws, rather than reports, where it makes values of what it has read. */
export function yamlFailure(thrown: unknown): string {
  if (thrown instanceof RangeError) return WORDS.RESOURCE_EXHAUSTION; // the stack ends
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (/^Unresolved alias/.test(message)) return "an alias (*name) stands before its anchor (&name), or has none";
  return /alias/i.test(message) ? "its aliases expand without bound" : WORDS.IMPOSSIBLE;
}
