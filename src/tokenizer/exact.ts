/**
 * Where `@huggingface/tokenizers` 0.2.0 (JavaScript) gives other ids or text than `tokenizers` (Rust), and the
 * equivalent definition for which it does not. The two are compared on random Unicode text in
 * test/tokenizer/python.test.ts:
 * - ByteLevel and Digits use JavaScript's `\s` and `\d`: U+0085 is no space there, U+FEFF is one, and only ASCII has
 *   digits. Split translates Oniguruma's classes faithfully, so both become a Split.
 * - Split knows only the behaviours Removed and Isolated, and drops what `invert` should keep.
 * - Metaspace never splits, and its decoder drops a leading space that was never added (`prepend_scheme: never`).
 * - Replace expands `$` in its content.
 * - ByteFallback drops a byte order mark (patched in `library.ts`).
 */

import type { Decoder, Normalizer, PreTokenizer, TokenizerJson } from "./definition.js";
import { tokenizerUnsupported } from "./failures.js";

/** GPT-2's pre-tokenizer, built into ByteLevel (openai/gpt-2 encoder.py; llama.cpp `gpt-2`). */
export const GPT2_SPLIT = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** A part as the library reads it. */
type LibraryPart = { type: string; [key: string]: unknown };

export const isolate = (regex: string): Extract<PreTokenizer, { type: "Split" }> => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior: "Isolated",
  invert: false,
});

/** The definition to hand to the library. */
export function exactDefinition(file: string, json: TokenizerJson): object {
  return {
    ...json,
    // Rust ignores added tokens without text
    added_tokens: json.added_tokens.filter((token) => token.content !== ""),
    normalizer: json.normalizer && exactNormalizer(json.normalizer),
    pre_tokenizer: json.pre_tokenizer && exactPreTokenizer(file, json.pre_tokenizer),
    decoder: json.decoder && exactDecoder(json.decoder),
  };
}

const literalContent = (content: string): string => content.replaceAll("$", "$$$$");

function exactNormalizer(part: Normalizer): LibraryPart {
  switch (part.type) {
    case "Sequence":
      return { ...part, normalizers: part.normalizers.map(exactNormalizer) };
    case "Replace":
      return { ...part, content: literalContent(part.content) };
    case "Prepend":
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return part;
  }
}

function exactPreTokenizer(file: string, part: PreTokenizer): LibraryPart {
  switch (part.type) {
    case "Sequence":
      return { ...part, pretokenizers: part.pretokenizers.map((inner) => exactPreTokenizer(file, inner)) };
    case "ByteLevel":
      return exactByteLevel(part);
    case "Digits":
      return isolate(part.individual_digits === true ? "\\p{N}" : "\\p{N}+");
    case "Split":
      return exactSplit(file, part);
    case "Metaspace":
      return exactMetaspace(part);
  }
}

function exactByteLevel(part: Extract<PreTokenizer, { type: "ByteLevel" }>): LibraryPart {
  const steps: LibraryPart[] = [];
  // a Metaspace that replaces spaces by spaces only adds the prefix, which has to come before the split
  if (part.add_prefix_space === true)
    steps.push({ type: "Metaspace", replacement: " ", str_rep: " ", prepend_scheme: "always" });
  if (part.use_regex !== false) steps.push(isolate(GPT2_SPLIT));
  steps.push({ type: "ByteLevel", add_prefix_space: false, use_regex: false });
  return { type: "Sequence", pretokenizers: steps };
}

function exactSplit(file: string, part: Extract<PreTokenizer, { type: "Split" }>): LibraryPart {
  const { behavior, invert = false } = part;
  const regex =
    "Regex" in part.pattern ? part.pattern.Regex : part.pattern.String.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const other = `(?:(?!${regex})[\\s\\S])`;
  switch (behavior) {
    case "Removed": // with invert: what matches is kept, which the library does
      return part;
    case "Isolated": // both sides are kept, whichever is called the match
      return { ...part, invert: false };
    case "MergedWithPrevious":
    case "MergedWithNext":
    case "Contiguous":
      if (invert)
        throw tokenizerUnsupported(
          file,
          "pre_tokenizer",
          `Split ${behavior} with invert is not one that draftplan reproduces exactly`,
        );
      if (behavior === "Contiguous") return isolate(`(?:${regex})+`);
      return isolate(behavior === "MergedWithNext" ? `(?:${regex})${other}*` : `${other}*(?:${regex})`);
  }
}

type MetaspaceScheme = {
  prepend_scheme?: "always" | "never" | "first" | undefined;
  add_prefix_space?: boolean | undefined;
};
/** Files written before tokenizers 0.15 have a flag instead of a scheme. */
const prependScheme = (part: MetaspaceScheme) =>
  part.prepend_scheme ?? (part.add_prefix_space === false ? "never" : "always");

function exactMetaspace(part: Extract<PreTokenizer, { type: "Metaspace" }>): LibraryPart {
  const mark = part.replacement ?? "\u2581";
  const metaspace = { ...part, replacement: mark, str_rep: mark, prepend_scheme: prependScheme(part) };
  if (part.split === false) return metaspace;
  const split = exactSplit("", { type: "Split", pattern: { String: mark }, behavior: "MergedWithNext" });
  return { type: "Sequence", pretokenizers: [metaspace, split] };
}

function exactDecoder(part: Decoder): LibraryPart {
  switch (part.type) {
    case "Sequence":
      return { ...part, decoders: part.decoders.map(exactDecoder) };
    case "Replace":
      return { ...part, content: literalContent(part.content) };
    case "Metaspace":
      if (prependScheme(part) !== "never") return part;
      return { type: "Replace", pattern: { String: part.replacement ?? "\u2581" }, content: " " };
    case "ByteLevel":
    case "ByteFallback":
    case "Fuse":
    case "Strip":
      return part;
  }
}
