/** What an interrupted comparison of targets must have been made of to be gone on with. */
import { describeDevice } from "../../runtime/device.js";
import type { ModelRef } from "../../schema/common.js";
import type { Tokenizer } from "../../tokenizer/types.js";
import { promptsDigest } from "../../verify/index.js";
import type { CompareRequest } from "../compare/options.js";
import type { PromptsAt } from "../compare/prompts.js";
import type { PipelineContext } from "../context.js";
import { findDrafting } from "../drafting.js";
import type { PartsTask } from "../interrupted/finished-parts.js";
import { softwareVersions } from "../verify/document.js";
import type { WaysRequest } from "./options.js";

interface Asked {
  request: CompareRequest;
  ways: WaysRequest;
  tokenizer: Tokenizer;
  contexts: readonly number[];
  prompts: readonly PromptsAt[];
  model: ModelRef;
}

/** @param path of the model @throws what looking at drafters throws */
export async function taskOf(
  { request, ways, tokenizer, contexts, prompts, model }: Asked,
  path: string,
  { provider, threads, ortLibrary, scales }: PipelineContext,
): Promise<PartsTask> {
  const { text, maxTokens, pairs, timeLimitSeconds, refineSeconds } = request;
  const drafters: unknown[] = [];
  for (const { choice, name } of ways.drafters) {
    if (choice.kind !== "heads" && choice.kind !== "model") drafters.push(name);
    else {
      const { folders, models } = await findDrafting(null, choice, path);
      const heads = folders.map(({ checkpoint }) => checkpoint.sha256);
      drafters.push([name, ...heads, ...models.map(({ checkpoint }) => checkpoint.weightsSha256)]);
    }
  }
  return {
    ...{ command: "compare", model, device: describeDevice(provider, threads, ortLibrary), scales: scales ?? null },
    ...{ targets: ways.targets, asked: ways.asked, drafters, contexts },
    ...{ tokenizer: tokenizer.sha256, text: text.sha256 },
    prompts: promptsDigest(prompts.flatMap((at) => at.prompts)),
    ...{ max_tokens: maxTokens, pairs, time: timeLimitSeconds, refine: refineSeconds },
    versions: softwareVersions(),
  };
}
