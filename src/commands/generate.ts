/** draftplan generate: one prompt gone on with, streamed; a plan changes the speed and nothing else. */
import { DraftplanError } from "../core/errors.js";
import { adaptedLine, generationJson, statisticsLines } from "../output/generation.js";
import { parseDrafter } from "../pipeline/drafting.js";
import { generateFrom } from "../pipeline/generate/generate.js";
import type { PromptSource } from "../pipeline/generate/types.js";
import { type SamplingOptions, samplingOf } from "../pipeline/sampling.js";
import { readDocumentOf } from "../schema/document.js";
import type { CommandContext } from "./context.js";
import { converseCommand } from "./converse.js";

export interface GenerateOptions extends SamplingOptions {
  prompt?: string;
  /** true: a conversation */
  chat?: string | true;
  context?: number;
  promptIds?: string;
  plan?: string;
  drafter?: string;
  adapt?: true;
  maxTokens?: number;
  stop?: string[];
  system?: string;
}

export async function generateCommand(model: string, options: GenerateOptions, context: CommandContext): Promise<void> {
  const sampling = samplingOf(options);
  const { adapt = false, maxTokens } = options;
  const drafting = {
    plan: options.plan === undefined ? null : readDocumentOf("draftplan/plan", options.plan),
    drafter: options.drafter === undefined ? null : parseDrafter(options.drafter),
    ...{ adapt, maxTokens, sampling, stops: options.stop ?? [] },
  };
  if (options.chat === true) {
    const { system, context: contextTokens } = options;
    return converseCommand(model, { ...drafting, system, contextTokens }, context);
  }
  if (options.context !== undefined) throw contextWithoutConversation();
  const request = { ...drafting, prompt: promptOf(options) };
  const sink = context.json ? null : { write: context.write, end: (text: string) => context.write(`${text}\n`) };
  const generation = await generateFrom(model, request, sink, context);
  const generated = generationJson(generation);
  if (context.json) return context.print(JSON.stringify(generated));
  const all = generation.continuations ?? [generation];
  if (generation.text === null) for (const { ids } of all) context.print(JSON.stringify(ids));
  for (const line of statisticsLines(generation)) context.note(line);
  if (generation.adapted !== null) context.note(adaptedLine(generation.adapted, generation.decodeUs));
}

function promptOf({ prompt, chat, promptIds, system }: GenerateOptions): PromptSource {
  if (system !== undefined && chat === undefined) throw systemWithoutChat();
  if (promptIds !== undefined) return { kind: "ids", file: promptIds };
  if (prompt !== undefined) return { kind: "text", text: prompt };
  if (typeof chat === "string") return { kind: "chat", text: chat, system };
  throw new DraftplanError({
    code: "USAGE",
    at: "draftplan generate",
    what: "there is no prompt",
    remedy: "Give one of --prompt TEXT, --chat TEXT, --prompt-ids FILE.",
  });
}

const contextWithoutConversation = () =>
  new DraftplanError({
    code: "USAGE",
    at: "--context",
    what: "only a conversation grows by itself; one prompt has a context of its own tokens and --max-tokens",
    remedy: "Leave --context out, or begin a conversation: --chat without a text.",
  });

const systemWithoutChat = () =>
  new DraftplanError({
    code: "USAGE",
    at: "--system",
    what: "only a chat has a system's part",
    remedy: "Give --chat as well, or leave --system out.",
  });
