/** A plan whose drafts have a cache of their own, verified with exact times. */
import { expect, test } from "vitest";
import { OwnCache } from "../../src/decode/drafters/own-cache.js";
import type { SecondCache } from "../../src/decode/drafters/standalone.js";
import { buildVerification } from "../../src/pipeline/verify/document.js";
import type { Plan } from "../../src/schema/plan.js";
import { verifyPlan } from "../../src/verify/index.js";
import { expectFailure } from "../support/failure.js";
import { DRAFT_US, digest, fake, plan, promptsOf, speculating, verifyUs } from "./support.js";

const drafting: Plan = { ...plan(speculating(0, 512, 4)), draft_cache: "own" };

function opened(missRate: number, ownMissRate: number) {
  const made = fake(missRate, { ownMissRate: () => ownMissRate });
  const second = made.engine.withOwnCache();
  const open: SecondCache = { kind: "own cache", cache: new OwnCache(second), close: () => second.close() };
  return { ...made, second, open: [open] };
}

test("is lossless, has the acceptance planted for such a cache, and its document says whose cache it was", async () => {
  const { engine, clock, open } = opened(0.05, 0.7);
  const document = await buildVerification({
    loaded: { engine, ref: { name: "fake", layers: 3, architecture_sha256: digest, weights_sha256: digest } },
    ...{ plan: drafting, planRef: { path: "plan.yaml", sha256: digest }, prompts: promptsOf(9, 30, 17, 60) },
    device: { processor: "test", provider: "cpu", threads: 1, runtime: "fake 1", platform: "test" },
    ...{ alternatives: false, maxTokens: 300, clock, open },
  });
  expect(document).toMatchObject({ lossless: true, draft_cache: "own", predicted_speedup: null });
  // some 900 rounds: 5 standard errors of the rate are 0.08
  expect(Math.abs((document.acceptance as number) - 0.3)).toBeLessThan(0.08);
});

test("has the draft's reading of the prompt in its time, and every round costs its passes", async () => {
  const { engine, clock, second, open } = opened(0, 0);
  const [prompt] = promptsOf(40);
  const asked = { engine, clock, plan: drafting, planPath: "plan.yaml", prompts: [prompt], open };
  const { prompts } = await verifyPlan({ ...asked, maxTokens: 11, pairs: 1 });
  // 10 tokens: the prompt of 40 and its first token; rounds of 5 tokens, the second of which catches up with two
  const reading = 90 + 10 * 41 + 150;
  const first = reading + 4 * DRAFT_US + verifyUs(4);
  const secondRound = DRAFT_US + 10 + 3 * DRAFT_US + verifyUs(4);
  expect(prompts[0].pairs?.[0]).toMatchObject({ tokens: 10, plan_us: first + secondRound });
  // and the next run of the same prompt pays for it again
  const reads = second.passes.filter(({ q }) => q === 41);
  expect(reads.length).toBeGreaterThan(1);
});

test("needs a second cache, and says so", async () => {
  const { engine, clock } = fake(0.1);
  const asked = { engine, clock, plan: drafting, planPath: "plan.yaml", prompts: promptsOf(9), maxTokens: 9, pairs: 1 };
  await expectFailure(() => verifyPlan(asked), "DRAFTER_NOT_OPEN", /KV cache of their own/);
});
