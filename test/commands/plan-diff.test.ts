import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { differenceText, planDifference } from "../../src/commands/plan-diff.js";
import { readDocumentOf } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";

const plans = readdirSync("plans")
  .filter((file) => file.endsWith(".plan.yaml"))
  .map((file) => readDocumentOf("draftplan/plan", `plans/${file}`).document);
// one that records its device and predicts something at its first contexts
const plan = plans.find(({ device, segments }) => device && segments[0].predicted) as Plan;

test("a plan against itself: nothing changed", () => {
  expect(differenceText(planDifference(plan, plan))).toBe("Nothing changed.");
});

test("a range that drafts no more is named, with both speedups", () => {
  const [{ context_tokens }] = plan.segments;
  const plain = { ...plan, segments: [{ context_tokens, speculate: false }, ...plan.segments.slice(1)] };
  const text = differenceText(planDifference(plan, plain));
  expect(text).toMatch(/: a draft -> plain decoding; predicted speedup \d+\.\d\d -> 1\.00$/);
  expect(text).toContain(`context ${context_tokens.from} to ${context_tokens.to}`);
});

test("plans of different models are refused, and both are named", () => {
  const other = { ...plan, model: { ...plan.model, name: "another", architecture_sha256: "0".repeat(64) } };
  expect(() => planDifference(plan, other)).toThrow(/different models: .* and another/);
});

test("another device is said", () => {
  const { device: _, ...unknown } = plan;
  expect(differenceText(planDifference(plan, unknown))).toMatch(/not made on the same device/);
});
