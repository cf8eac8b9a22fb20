/**
 * The parts of two libraries that are used here, typed by hand: their own declarations import without file extensions,
 * which `moduleResolution: nodenext` cannot follow, so that everything from them is silently `any`
 * (@huggingface/tokenizers 0.2.0, @huggingface/jinja 0.5.11).
 */
import type { TextDecoder } from "node:util";
import * as jinjaModule from "@huggingface/jinja";
import * as tokenizersModule from "@huggingface/tokenizers";

export interface HfTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  decode(ids: readonly number[]): string;
  id_to_token(id: number): string | undefined;
  token_to_id(token: string): number | undefined;
  model: unknown;
  decoder: unknown;
}

interface TokenizersModule {
  Tokenizer: new (tokenizerJson: object, config: { clean_up_tokenization_spaces: boolean }) => HfTokenizer;
  BPE: new () => { merges: [string, string][]; bpe_ranks: Map<string, number> };
  SequenceDecoder: new () => { decoders: unknown[] };
  ByteFallbackDecoder: new () => { text_decoder: TextDecoder };
}
export const hf = tokenizersModule as unknown as TokenizersModule;

export interface JinjaToken {
  readonly type: string;
  readonly value: string;
}

interface JinjaModule {
  tokenize(template: string, options: { trim_blocks: boolean; lstrip_blocks: boolean }): readonly JinjaToken[];
  parse(tokens: readonly JinjaToken[]): { readonly type: string };
}
export const jinja = jinjaModule as unknown as JinjaModule;
