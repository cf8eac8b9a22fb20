/** draftplan generate: greedy decoding of one prompt, streamed; a plan changes the speed and nothing else. */
import { DraftplanError } from "../core/errors.js";
import { adaptedLine, generationJson, statisticsLine } from "../output/generation.js";
import { parseDrafter } from "../pipeline/drafting.js";
import { generateFrom, type PromptSource } from "../pipeline/generate/generate.js";
import { readDocumentOf } from "../schema/document.js";
import type { CommandContext } from "./context.js";

export interface GenerateOptions {
  prompt?: string;
  chat?: string;
  promptIds?: string;
  plan?: string;
  drafter?: string;
  adapt?: true;
  maxTokens?: number;
  temperature?: number;
  seed?: number;
}

export async function generateCommand(model: string, options: GenerateOptions, context: CommandContext): Promise<void> {
  refuseSampling(options.temperature ?? 0);
  const { adapt = false, maxTokens } = options;
  const request = {
    plan: options.plan === undefined ? null : readDocumentOf("draftplan/plan", options.plan),
    prompt: promptOf(options),
    drafter: options.drafter === undefined ? null : parseDrafter(options.drafter),
    ...{ adapt, maxTokens },
  };
  const sink = context.json ? null : { write: context.write, end: (text: string) => context.write(`${text}\n`) };
  const generation = await generateFrom(model, request, sink, context);
  const generated = generationJson(generation);
  if (context.json) return context.print(JSON.stringify(generated));
  if (generation.text === null) context.print(JSON.stringify(generated.ids));
  context.note(statisticsLine(generated));
  if (generation.adapted !== null) context.note(adaptedLine(generation.adapted, generation.decodeUs));
}

function refuseSampling(temperature: number): void {
  if (temperature === 0) return;
  throw new DraftplanError({
    code: "NOT_YET_SUPPORTED",
    at: "--temperature",
    what: `${temperature} asks for sampling, and only greedy decoding exists so far`,
    remedy: "Leave --temperature out, or give 0.",
  });
}

function promptOf({ prompt, chat, promptIds }: GenerateOptions): PromptSource {
  if (promptIds !== undefined) return { kind: "ids", file: promptIds };
  if (prompt !== undefined) return { kind: "text", text: prompt };
  if (chat !== undefined) return { kind: "chat", text: chat };
  throw new DraftplanError({
    code: "USAGE",
    at: "draftplan generate",
    what: "there is no prompt",
    remedy: "Give one of --prompt TEXT, --chat TEXT, --prompt-ids FILE.",
  });
}
