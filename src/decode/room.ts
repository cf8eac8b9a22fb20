import { DraftplanError } from "../core/errors.js";
import type { Engine } from "../runtime/engine.js";

/** @throws CONTEXT_LIMIT where a prompt and what follows it do not fit the cache */
export function requireRoom(engine: Engine, promptTokens: number, newTokens: number): void {
  if (promptTokens < 1) {
    throw new DraftplanError({
      code: "TOKEN_IDS_INVALID",
      at: "prompt",
      what: "the prompt has no tokens",
      remedy: "Give at least one token.",
    });
  }
  const needed = promptTokens + newTokens;
  if (needed <= engine.capacity) return;
  throw new DraftplanError({
    code: "CONTEXT_LIMIT",
    at: `prompt of ${promptTokens} tokens`,
    what: `with ${newTokens} new tokens it needs a context of ${needed}; ${engine.spec.name} has ${engine.spec.contextLimit}, the cache ${engine.capacity}`,
    remedy: "Shorten the prompt or lower --max-tokens.",
  });
}
