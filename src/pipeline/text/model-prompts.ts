/** Prompts for one model: a user's file, or those that travel with draftplan, held against what the model takes. */
import type { Progress } from "../../core/progress.js";
import type { ModelSpec } from "../../model/spec.js";
import { openTokenizer } from "../../tokenizer/open.js";
import type { Tokenizer } from "../../tokenizer/types.js";
import type { VerifyPrompt } from "../../verify/index.js";
import { bundledPrompts, fittingPrompts, readPrompts } from "./prompts.js";
import { requireInVocabulary } from "./token-ids.js";

export interface ModelPrompts {
  prompts: VerifyPrompt[];
  /** the user's file; undefined for the bundled ones */
  file: string | undefined;
  /** null: every prompt was given as ids */
  tokenizerSha256: string | null;
}

/**
 * @param model a model's folder or file, whose tokenizer is opened where a prompt is text
 * @throws what readPrompts throws
 */
export async function openPrompts(
  model: string,
  file: string | undefined,
  { warn }: Pick<Progress, "warn">,
): Promise<ModelPrompts> {
  let tokenizer: Promise<Tokenizer> | undefined;
  const open = () => (tokenizer ??= openTokenizer(model));
  const prompts = file === undefined ? await bundledPrompts(open) : await readPrompts(file, open, warn);
  return { file, prompts, tokenizerSha256: (await tokenizer)?.sha256 ?? null };
}

/**
 * The prompts that can be run, and the tokens that the cache must hold for them. Of the bundled ones, those that do not
 * fit are left out with a warning; a user's prompts are all run or refused.
 * @throws TOKEN_IDS_INVALID for ids that the model does not have, CONTEXT_LIMIT where no bundled prompt fits
 */
export function fitPrompts(
  { prompts, file }: ModelPrompts,
  spec: ModelSpec,
  maxTokens: number,
  progress: Progress,
): { prompts: VerifyPrompt[]; maxTokens: number; capacity: number } {
  if (file !== undefined)
    for (const { ids, name } of prompts) requireInVocabulary(ids, spec.vocabSize, `${file}: '${name}'`);
  const kept = file === undefined ? fittingPrompts(prompts, spec.contextLimit, maxTokens, progress) : prompts;
  return { prompts: kept, maxTokens, capacity: Math.max(...kept.map(({ ids }) => ids.length)) + maxTokens };
}
