/** Decoding of one prompt: a plan changes the speed and nothing else. */
import type { PipelineContext } from "../context.js";
import { requireInVocabulary } from "../text/token-ids.js";
import { adaptedOf } from "./adapting.js";
import { continuationsOf } from "./continuations.js";
import { chooseMaxTokens, readPrompt } from "./prompt.js";
import { findDraftingOf, withReadyModel } from "./ready-model.js";
import { requireStops } from "./stops.js";
import type { GenerateRequest, Generation, TextSink } from "./types.js";

/**
 * @param sink null: the text is not wanted before it is whole
 * @throws USAGE, OPTION_INVALID, NOT_YET_SUPPORTED, TOKEN_IDS_INVALID, CONTEXT_LIMIT, DOCUMENT_MISMATCH, HEADS_MISMATCH,
 *   what loading the model and opening heads throw
 */
export async function generateFrom(
  model: string,
  request: GenerateRequest,
  sink: TextSink | null,
  context: PipelineContext,
): Promise<Generation> {
  const { sampling, stops = [] } = request;
  requireStops(stops, request.prompt.kind);
  const drafting = await findDraftingOf(model, request);
  const prompt = await readPrompt(model, request.prompt);
  return withReadyModel(
    model,
    drafting,
    request,
    ({ spec }) => {
      requireInVocabulary(prompt.ids, spec.vocabSize, prompt.at);
      const maxTokens = chooseMaxTokens(prompt, spec, request.maxTokens);
      return { maxTokens, tokens: prompt.ids.length + maxTokens };
    },
    context,
    async ({ engine, policy, adaptive, drafter }, { maxTokens }) => {
      const options = { policy, maxTokens, sampling, stops, sink, progress: context.progress };
      const continuations = await continuationsOf(engine, prompt, options);
      return {
        ...continuations[0],
        promptTokens: prompt.ids.length,
        drafter,
        continuations: sampling?.count === undefined ? null : continuations,
        adapted: adaptive === null ? null : adaptedOf(adaptive.summary()),
      };
    },
  );
}
