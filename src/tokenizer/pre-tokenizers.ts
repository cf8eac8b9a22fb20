/** How `gpt2` vocabularies of GGUF files split text before merging, by the names of llama.cpp (src/llama-vocab.cpp). */
import { GPT2_SPLIT } from "./exact.js";

export interface BytePreTokenizer {
  /** one after the other, each splitting what the ones before left whole */
  splits: readonly string[];
  normalizer?: { type: "NFC" };
  /** a whole pre-token that is in the vocabulary is taken without merging */
  ignoreMerges?: boolean;
  addBos?: boolean;
}

const CONTRACTIONS = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const SPACES = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const words = (digits: string): string =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${SPACES}`;

/** A word is capitals and then small letters, as in CamelCase; letters without case, and marks, belong to both. */
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const casedWords = (digits: string, ending: string): string =>
  [
    `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${ending}`,
    `[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${ending}`,
    digits,
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*",
    SPACES,
  ].join("|");

const LLAMA3: BytePreTokenizer = { splits: [words("\\p{N}{1,3}")], ignoreMerges: true, addBos: true };
/** llama3's splitting alone */
const THREE_DIGITS: BytePreTokenizer = { splits: [words("\\p{N}{1,3}")] };
const ONE_DIGIT: BytePreTokenizer = { splits: [words("\\p{N}")] };
/** Qwen's own tokenizer composes characters first; llama.cpp leaves that out. */
const QWEN: BytePreTokenizer = { ...ONE_DIGIT, normalizer: { type: "NFC" } };
const GPT2: BytePreTokenizer = { splits: [GPT2_SPLIT] };
const DIGITS_APART: BytePreTokenizer = { splits: ["\\p{N}", GPT2_SPLIT] };

/** Letters with case that DeepSeek's class of them lacks, by code points: those of Unicode 12 and later, and some scripts. */
const UNNAMED_LETTERS = (
  "560-588 10c7 10cd 10d0-10fa 10fd-10ff 1c80-1c8a 2d00-2d25 2d27 2d2d a790-a7dc a7f5-a7f6 a7fa ab30-ab5a ab60-ab68 " +
  "10570-105bc 10d50-10d65 10d70-10d85 16e40-16ed3 1d400-1d7cb 1df00-1df2a"
).replaceAll(/[0-9a-f]+/g, (point) => String.fromCodePoint(Number.parseInt(point, 16)));
const NAMED_LETTER = `(?:(?![${UNNAMED_LETTERS.replaceAll(" ", "")}])[\\p{Lu}\\p{Ll}\\p{Lt}\u0295])`;
const HAN_AND_HANGUL = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";

const named = (names: string, how: BytePreTokenizer): Record<string, BytePreTokenizer> =>
  Object.fromEntries(names.split(" ").map((name) => [name, how]));

/** `tokenizer.ggml.pre` -> how text is split */
export const PRE_TOKENIZERS: Readonly<Record<string, BytePreTokenizer>> = {
  // not GPT-2's: what llama.cpp does for a file that calls its own pre-tokenizer "default"
  default: { splits: ["[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2_SPLIT, "\\p{N}+", "[0-9][0-9][0-9]"] },
  ...named("llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", LLAMA3),
  ...named("dbrx smaug-bpe chatglm-bpe glm4 glm5", THREE_DIGITS),
  ...named("qwen2 deepseek-r1-qwen kormo f2llmv2 megrez", QWEN),
  ...named("stablelm2 hunyuan solar-open grok-2", ONE_DIGIT),
  ...named("gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert exaone4", GPT2),
  ...named("mpt olmo jais trillion granite-docling", GPT2),
  ...named("smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", DIGITS_APART),
  ...named("gpt-4o llama4 kanana2 talkie", { splits: [casedWords("\\p{N}{1,3}", `${CONTRACTIONS}?`)] }),
  tekken: { splits: [casedWords("\\p{N}", "")], ignoreMerges: true, addBos: true },
  "deepseek-coder": {
    splits: ["[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", HAN_AND_HANGUL, "\\p{N}"],
  },
  "deepseek-llm": {
    splits: [
      ...["[\\r\\n]", `\\s?${NAMED_LETTER}+`, "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"],
      ...["\\s+$", HAN_AND_HANGUL, "\\p{N}+"],
    ],
  },
  ...named("deepseek-v3 hunyuan-dense", {
    splits: [
      ...["\\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"],
      `[!-/:-@\\[-\`{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|${SPACES}`,
    ],
  }),
  "seed-coder": {
    splits: [`${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|${SPACES}`],
  },
};
