/** What a comparison is made of once its model is open, and what an interrupted one must have been made of to be gone on with. */
import type { LocatedHeads } from "../../decode/drafters/heads.js";
import type { LoadedModel } from "../../runtime/load.js";
import type { Tokenizer } from "../../tokenizer/types.js";
import { promptsDigest, type VerifyPrompt } from "../../verify/index.js";
import type { PipelineContext } from "../context.js";
import type { DraftModelFile } from "../drafting/draft-models.js";
import type { PartsTask } from "../interrupted/finished-parts.js";
import { loadedTask } from "../interrupted/loaded-task.js";
import type { CompareOptions, CompareRequest } from "./options.js";

export interface Comparing {
  loaded: LoadedModel;
  request: CompareRequest;
  /** as they were given */
  options: CompareOptions;
  contexts: readonly number[];
  /** prompts of the user's file; null: they are made of text */
  given: readonly VerifyPrompt[] | null;
  tokenizer: Tokenizer;
  /** trained heads that are open */
  heads: readonly LocatedHeads[];
  /** other models that may draft, looked at */
  files: readonly DraftModelFile[];
}

/** All that what is measured depends on. A seed that was drawn is a part of what was finished. */
export function taskOf(
  { loaded, request, options, contexts, given, tokenizer, heads, files }: Comparing,
  context: PipelineContext,
): PartsTask {
  const { profile, calibration, choices, methods, text, extrapolate, maxTokens, pairs, sampling } = request;
  return {
    command: "compare",
    ...loadedTask({ model: loaded, heads, tokenizer, text }, context),
    profile: profile?.sha256 ?? null,
    calibration: calibration?.sha256 ?? null,
    prompts: given === null ? null : promptsDigest(given),
    ...{ choices, methods: methods.map(({ name }) => name), contexts, extrapolate },
    draft_models: files.map(({ path, checkpoint }) => [path, checkpoint.weightsSha256]),
    ...{ looks_up: request.looksUp, max_tokens: maxTokens, pairs },
    time: request.timeLimitSeconds,
    refine: request.refineSeconds,
    filters: sampling?.filters ?? null,
    seed: options.seed ?? null,
  };
}
