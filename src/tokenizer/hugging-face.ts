/** A tokenizer from a Hugging Face folder: tokenizer.json and what stands beside it. */
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { DraftplanError } from "../core/errors.js";
import { utf8Text } from "../core/utf8.js";
import { MAX_TOKEN_ID, parseTokenizerJson, type TokenizerDefinition, type TokenizerJson } from "./definition.js";
import { messageOf, tokenizerInvalid } from "./failures.js";

/** The largest published tokenizer.json has 33 MB; a string in V8 ends at 512 MB. */
const MAX_FILE_BYTES = 1 << 28;

const TokenName = z.union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)]);
const SPECIAL_TOKENS = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
] as const;
type SpecialTokenKey = (typeof SPECIAL_TOKENS)[number];

const NamedTemplates = z.array(z.looseObject({ name: z.string(), template: z.string() }));
const SpecialTokensMap = z.looseObject(
  Object.fromEntries(SPECIAL_TOKENS.map((key) => [key, TokenName.nullish()])) as Record<
    SpecialTokenKey,
    z.ZodOptional<z.ZodNullable<typeof TokenName>>
  >,
);
const AddedTokenEntry = z.looseObject({
  content: z.string(),
  lstrip: z.boolean().optional(),
  rstrip: z.boolean().optional(),
  normalized: z.boolean().optional(),
  special: z.boolean().optional(),
});
const TokenId = z
  .string()
  .refine((id) => /^\d{1,9}$/.test(id) && Number(id) <= MAX_TOKEN_ID, `not a token id up to ${MAX_TOKEN_ID}`);
const TokenizerConfig = SpecialTokensMap.extend({
  chat_template: z.union([z.string(), NamedTemplates]).nullish(),
  added_tokens_decoder: z.record(TokenId, AddedTokenEntry).nullish(),
});
type TokenizerConfig = z.infer<typeof TokenizerConfig>;

export async function readHuggingFace(folder: string): Promise<TokenizerDefinition> {
  const file = join(folder, "tokenizer.json");
  const names = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];
  const [tokenizer, config, map, template] = await Promise.all(names.map((name) => readText(join(folder, name))));
  const json = parseTokenizerJson(file, parseJson(file, tokenizer ?? ""));
  const settings = parsePart(join(folder, "tokenizer_config.json"), config, TokenizerConfig);
  const specialTokens = namedTokens(
    parsePart(join(folder, "special_tokens_map.json"), map, SpecialTokensMap),
    settings,
  );
  const chatTemplate = template ?? chosenTemplate(settings.chat_template);
  addConfiguredTokens(json, settings, Object.values(specialTokens));
  const hash = createHash("sha256");
  for (const [i, text] of [tokenizer, config, map, template].entries())
    hash.update(`${names[i]} ${text?.length ?? "none"}\n${text ?? ""}`);
  return { file, json, specialTokens, ...(chatTemplate !== undefined && { chatTemplate }), sha256: hash.digest("hex") };
}

async function readText(file: string): Promise<string | undefined> {
  try {
    const found = await stat(file);
    if (!found.isFile()) throw tokenizerInvalid(file, "file", "it is no regular file");
    const { size } = found;
    if (size > MAX_FILE_BYTES) throw tokenizerInvalid(file, "size", `${size} bytes, more than any tokenizer has`);
    return utf8Text(await readFile(file), file);
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return undefined;
    if (thrown instanceof DraftplanError && thrown.code === "TEXT_NOT_UTF8" && file.endsWith(".json"))
      throw tokenizerInvalid(file, "JSON", thrown.what, thrown);
    if (thrown instanceof Error && "remedy" in thrown) throw thrown;
    throw tokenizerInvalid(file, "file", messageOf(thrown), thrown);
  }
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw tokenizerInvalid(file, "JSON", messageOf(thrown), thrown);
  }
}

function parsePart<T>(file: string, text: string | undefined, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(text === undefined ? {} : parseJson(file, text));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw tokenizerInvalid(file, issue.path.join(".") || "top level", issue.message);
}

/** tokenizer_config.json wins, as in transformers. */
function namedTokens(
  map: Partial<Record<SpecialTokenKey, string | null | undefined>>,
  config: TokenizerConfig,
): Record<string, string> {
  const named = SPECIAL_TOKENS.map((key) => [key, config[key] ?? map[key]] as const);
  return Object.fromEntries(named.filter((entry): entry is [SpecialTokenKey, string] => typeof entry[1] === "string"));
}

/** Of several templates the one called default; the others are for tools or retrieval. */
function chosenTemplate(template: TokenizerConfig["chat_template"]): string | undefined {
  if (template === null || template === undefined || typeof template === "string") return template ?? undefined;
  const chosen = template.find(({ name }) => name === "default") ?? (template.length === 1 ? template[0] : undefined);
  return chosen?.template;
}

/**
 * transformers adds the tokens of tokenizer_config.json that tokenizer.json does not add itself. One that has no id
 * anywhere would get a new one, beyond the model's embeddings; it is left out.
 */
function addConfiguredTokens(json: TokenizerJson, config: TokenizerConfig, named: readonly string[]): void {
  const added = new Set(json.added_tokens.map(({ content }) => content));
  for (const [id, token] of Object.entries(config.added_tokens_decoder ?? {})) {
    if (added.has(token.content)) continue;
    json.added_tokens.push({ ...token, id: Number(id) });
    added.add(token.content);
  }
  for (const content of named) {
    if (added.has(content) || !Object.hasOwn(json.model.vocab, content)) continue;
    json.added_tokens.push({ id: json.model.vocab[content], content, special: true, normalized: false });
    added.add(content);
  }
}
