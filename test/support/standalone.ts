/** An engine's decoding beside draftplan's own: a draft with a cache of its own, and outputs that part. */
import { expect } from "vitest";
import { OwnCache } from "../../src/decode/drafters/own-cache.js";
import { type Decoded, decode, prefill } from "../../src/decode/loop.js";
import { planPolicy } from "../../src/decode/policy.js";
import { systemClock } from "../../src/runtime/device.js";
import type { LoadedModel } from "../../src/runtime/load.js";
import { targetChoices } from "../../src/schema/choice.js";
import type { Plan } from "../../src/schema/plan.js";
import { TIE } from "./ties.js";

type Model = Pick<LoadedModel, "engine" | "spec">;

/** A prompt continued by a plan whose draft has a cache of its own, as engines give it one. */
export async function decodeStandalone(
  { engine, spec }: Model,
  plan: Plan,
  prompt: readonly number[],
  maxTokens: number,
): Promise<Decoded> {
  const own = engine.withOwnCache?.();
  if (own === undefined) throw new Error("the engine has one cache alone");
  try {
    const opened = { kind: "own cache", cache: new OwnCache(own), close: () => {} } as const;
    const policy = planPolicy(plan, spec.layers, "plan", undefined, [opened]);
    return await decode(engine, prompt, { maxTokens, endTokens: spec.eosTokenIds, clock: systemClock, policy });
  } finally {
    own.close();
  }
}

/**
 * Fails where two outputs part though the target's two tokens there are no tie.
 * @param within what is one, in logits
 * @param endsUnseen outputs are without their end token, so that a shorter one chose an end token there; otherwise lengths
 *   have to be equal
 * @returns 1 where they part at one
 */
export async function partings(
  { engine, spec }: Model,
  prompt: readonly number[],
  [a, b]: readonly [readonly number[], readonly number[]],
  what: string,
  { within = TIE, endsUnseen = false }: { within?: number; endsUnseen?: boolean } = {},
): Promise<number> {
  const length = Math.max(a.length, b.length);
  const at = Array.from({ length }, (_, i) => i).find((i) => a[i] !== b[i]);
  if (at === undefined) return 0;
  if (!endsUnseen) for (const ids of [a, b]) expect(ids[at], `${what}: one output is longer`).toBeDefined();
  const { logits } = await prefill(engine, [...prompt, ...a.slice(0, at)], targetChoices(spec.layers));
  const of = (id: number | undefined) =>
    id === undefined ? Math.max(...spec.eosTokenIds.map((end) => logits[end])) : logits[id];
  expect(Math.abs(of(a[at]) - of(b[at])), `${what} part at ${at}: ${a[at]} and ${b[at]}`).toBeLessThan(within);
  return 1;
}
