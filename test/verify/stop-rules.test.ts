/** Fixed lengths beside early stops, by turns in one run. */
import { expect, test } from "vitest";
import { decode } from "../../src/decode/loop.js";
import { planPolicy } from "../../src/decode/policy.js";
import { acceptanceOf } from "../../src/decode/statistics.js";
import { verificationSummary } from "../../src/output/verification-summary.js";
import { buildBothRules } from "../../src/pipeline/verify/document.js";
import { withStopRule } from "../../src/schema/plan.js";
import { Verification } from "../../src/schema/verification.js";
import { digest, fake, plan, promptsOf, speculating } from "./support.js";

test("both rules are run beside plain decoding, and told with what they drafted", async () => {
  const draftLogit = (draw: number) => 5 * draw;
  const stop = {
    ...{ rule: "early" as const, draft_tokens: 6, go_on_from: [0.8, 0.7, 0.6, 0.5, 0.4] },
    confidence: [
      { below: 0.82, acceptance: 0.1 },
      { below: 1, acceptance: 0.97 },
    ],
  };
  const whole = plan({ ...speculating(0, 512, 3), stop });
  const { engine, clock } = fake(0.3, { draftLogit });
  const prompts = promptsOf(9, 30, 12, 20);
  const verification = await buildBothRules({
    loaded: { engine, ref: { name: "fake", layers: 3, architecture_sha256: digest, weights_sha256: digest } },
    ...{ plan: whole, planRef: { path: "plan.yaml", sha256: digest }, prompts, clock, maxTokens: 60 },
    device: { processor: "test", provider: "cpu", threads: 1, runtime: "fake 1", platform: "test" },
    ...{ alternatives: false, created: new Date(0) },
  });
  expect(Verification.safeParse(verification).success).toBe(true);
  const [early, fixed] = verification.stop_rules ?? [];
  expect([early.rule, fixed.rule]).toEqual(["early", "fixed"]);
  for (const told of [early, fixed]) {
    // the same decoding once more, by itself
    const policy = planPolicy(withStopRule(whole, told.rule), 3, "plan");
    const rounds = [];
    for (const { ids } of prompts) {
      const twin = fake(0.3, { draftLogit });
      const options = { maxTokens: 60, endTokens: [], clock: twin.clock, policy };
      rounds.push(...(await decode(twin.engine, ids, options)).rounds);
    }
    const { acceptedLength, drafted } = acceptanceOf(rounds);
    expect(told.accepted_length).toBeCloseTo(acceptedLength ?? 0, 4);
    expect(told.mean_draft_tokens).toBeCloseTo(drafted / rounds.filter((round) => round.drafted > 0).length, 4);
    expect(told.lossless).toBe(true);
  }
  expect(early.speedup).toEqual(verification.speedup);
  expect(verificationSummary(verification).join("\n")).toMatch(/early stop.*tokens a round[\s\S]*fixed length/);
});
