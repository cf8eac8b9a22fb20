/** Several plans verified in one go: each as by itself, plain decoding timed once for all, turns in both directions. */
import { expect, test } from "vitest";
import { decode } from "../../src/decode/loop.js";
import { verifyPlan, verifyPlans } from "../../src/verify/index.js";
import { fake, plan, promptsOf, speculating } from "./support.js";

const settings = { maxTokens: 40, pairs: 1 };
const plans = [
  { plan: plan(speculating(0, 512, 4)), planPath: "four.yaml" },
  { plan: plan(speculating(0, 512, 2)), planPath: "two.yaml" },
  {
    plan: plan({ context_tokens: { from: 0, to: 512 }, speculate: false }),
    planPath: "plain.yaml",
  },
];

test("each plan is told as by itself", async () => {
  const prompts = promptsOf(9, 30, 12, 21);
  const together = await verifyPlans({ ...settings, ...fake(0.3), prompts }, plans);
  for (const [i, one] of plans.entries()) {
    const alone = await verifyPlan({ ...settings, ...fake(0.3), prompts, ...one });
    const { lossless, tokens, acceptance_curve, accepted_length, output_sha256, reference_sha256 } = alone;
    expect(together[i]).toMatchObject({
      ...{ lossless, tokens, acceptance_curve, accepted_length, output_sha256, reference_sha256 },
    });
    // the fake clock is exact, so that speeds agree whoever else takes turns
    expect(together[i].speedup.median).toBeCloseTo(alone.speedup.median, 6);
  }
});

test("plain decoding runs once a prompt for all of them, and the order turns with every prompt", async () => {
  const ran: (number | null)[] = [];
  const watched: typeof decode = (engine, prompt, options) => {
    ran.push(options.policy?.(prompt.length)?.draftTokens ?? null);
    return decode(engine, prompt, options);
  };
  const prompts = promptsOf(9, 30);
  await verifyPlans({ ...settings, ...fake(0), prompts, decode: watched }, plans);
  expect(ran).toEqual([null, 4, 2, 2, 4, null]);
});

test("plans that draft alike wherever a prompt leads share their runs there, and their own runs elsewhere", async () => {
  const both = [
    { plan: plan(speculating(0, 30, 4), speculating(30, 512, 2)), planPath: "changing.yaml" },
    { plan: plan(speculating(0, 512, 4)), planPath: "four.yaml" },
  ];
  const ran: string[] = [];
  const watched: typeof decode = (engine, prompt, options) => {
    ran.push(`${prompt.length}: ${options.policy?.(prompt.length)?.draftTokens ?? "plain"}`);
    return decode(engine, prompt, options);
  };
  // of 12 tokens the first prompt's end at 20, before the plans differ, and the second's at 41
  const asked = { maxTokens: 12, pairs: 1, prompts: promptsOf(9, 30) };
  const [changing, four] = await verifyPlans({ ...asked, ...fake(0.3), decode: watched }, both);
  expect(ran.filter((run) => run.startsWith("9:"))).toEqual(["9: plain", "9: 4"]);
  expect(ran.filter((run) => run.startsWith("30:"))).toEqual(["30: 4", "30: 2", "30: plain"]);
  expect(changing.prompts[0].pairs).toEqual(four.prompts[0].pairs);
  expect(changing.prompts[1].pairs).not.toEqual(four.prompts[1].pairs);
});
