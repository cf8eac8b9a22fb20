/** A conversation with a model: what can be refused is refused before its weights are loaded. */
import { DraftplanError } from "../../core/errors.js";
import type { ModelSpec } from "../../model/spec.js";
import { systemClock } from "../../runtime/device.js";
import { DEFAULT_CAPACITY } from "../../runtime/load.js";
import { openTokenizer } from "../../tokenizer/open.js";
import type { PipelineContext } from "../context.js";
import { adaptedOf } from "./adapting.js";
import { Conversation } from "./conversation.js";
import { DEFAULT_MAX_TOKENS, opening } from "./prompt.js";
import { findDraftingOf, withReadyModel } from "./ready-model.js";
import { requireStops } from "./stops.js";
import type { AdaptedSummary, DraftingRequest } from "./types.js";

export interface ConversationRequest extends DraftingRequest {
  system?: string | undefined;
  /** tokens that it may have; undefined: 8192, or what the model has */
  contextTokens?: number | undefined;
}

export interface OpenConversation {
  conversation: Conversation;
  /** new tokens of a turn at most */
  maxTokens: number;
  contextTokens: number;
  /** whether anything may be drafted */
  drafts: boolean;
  /** null where the plan is not adapted */
  adapted(): AdaptedSummary | null;
}

/**
 * @throws CHAT_TEMPLATE_MISSING, CHAT_TEMPLATE_INVALID where the template refuses even a first word, CONTEXT_LIMIT for more
 *   context than the model has, what generateFrom throws
 */
export async function withConversation<Result>(
  model: string,
  request: ConversationRequest,
  context: PipelineContext,
  use: (open: OpenConversation) => Promise<Result>,
): Promise<Result> {
  const { system, sampling, stops = [], maxTokens = DEFAULT_MAX_TOKENS } = request;
  requireStops(stops, "chat");
  const drafting = await findDraftingOf(model, request);
  const tokenizer = await openTokenizer(model);
  tokenizer.renderChat([...opening(system), { role: "user", content: "-" }], { addGenerationPrompt: true });
  return withReadyModel(
    model,
    drafting,
    request,
    ({ spec }) => ({ tokens: contextOf(spec, request.contextTokens) }),
    context,
    async ({ engine, policy, adaptive }, { tokens: contextTokens }) => {
      const { progress } = context;
      const shared = { engine, tokenizer, policy, system, contextTokens, maxTokens, sampling, stops };
      const conversation = new Conversation({ ...shared, clock: systemClock, progress });
      const adapted = () => (adaptive === null ? null : adaptedOf(adaptive.summary()));
      return use({ conversation, maxTokens, contextTokens, drafts: policy !== null, adapted });
    },
  );
}

function contextOf({ name, contextLimit }: ModelSpec, asked: number | undefined): number {
  const tokens = asked ?? Math.min(DEFAULT_CAPACITY, contextLimit);
  if (tokens <= contextLimit) return tokens;
  throw new DraftplanError({
    code: "CONTEXT_LIMIT",
    at: `--context ${tokens}`,
    what: `${name} has a context of ${contextLimit} tokens`,
    remedy: `Use --context ${contextLimit} or less.`,
  });
}
