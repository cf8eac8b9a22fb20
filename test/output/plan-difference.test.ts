import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { differenceText } from "../../src/output/plan-difference.js";
import { planDifference } from "../../src/pipeline/plan-difference.js";
import { blockName, compactDraft, type Draft, expandDraft, uniformChoices } from "../../src/schema/choice.js";
import { readDocumentOf } from "../../src/schema/document.js";
import type { Plan, Predicted } from "../../src/schema/plan.js";
import { plan as example } from "../support/example-documents.js";
import { headsPlan } from "../support/heads-documents.js";

type Device = NonNullable<Plan["device"]>;

const plans = readdirSync("plans")
  .filter((file) => file.endsWith(".plan.yaml"))
  .map((file) => readDocumentOf("draftplan/plan", `plans/${file}`).document);
// one that records its device and predicts something at its first contexts
const plan = plans.find(({ device, segments }) => device && segments[0].predicted) as Plan;

test("a plan against itself: nothing changed, and nothing else is said, device or not", () => {
  const { device: _, ...unknown } = plan;
  expect(differenceText(planDifference(plan, plan))).toBe("Nothing changed.");
  expect(differenceText(planDifference(unknown, unknown))).toBe("Nothing changed.");
  expect(planDifference(plan, plan)).toMatchObject({ changed: false, same_device: true });
});

test("a range that drafts no more is named, with both speedups", () => {
  const [{ context_tokens }] = plan.segments;
  const plain = { ...plan, segments: [{ context_tokens, speculate: false }, ...plan.segments.slice(1)] };
  const text = differenceText(planDifference(plan, plain));
  expect(text).toMatch(/: a draft -> plain decoding\n {2}at \d+: predicted speedup \d+\.\d\d -> 1\.00$/);
  expect(text).toContain(`context ${context_tokens.from} to ${context_tokens.to}`);
});

test("of trees the nodes that came and went are named, and who drafts instead of whom", () => {
  const heads = headsPlan();
  const [first, ...rest] = heads.segments;
  const drafter = { ...(first.drafter as { kind: "heads"; sha256: string; path: string }), tree: [[0], [1], [1, 2]] };
  const other = { ...heads, segments: [{ ...first, drafter }, ...rest] };
  const difference = planDifference(heads, other);
  const [range] = difference.ranges;
  expect(range).toMatchObject({
    change: "heads: [0, 0], [0, 2], [1, 0] removed, [1, 2] added, 5 -> 3 nodes",
    blocks: [],
  });
  expect(differenceText(difference)).toContain(
    `context ${range.from} to ${range.to}: heads: [0, 0], [0, 2], [1, 0] removed`,
  );
  expect(planDifference(heads, heads).changed).toBe(false);
  // the same nodes in another order are the same tree
  const turned = {
    ...heads,
    segments: [{ ...first, drafter: { ...drafter, tree: [[1], [0], [0, 2], [1, 0], [0, 0]] } }, ...rest],
  };
  expect(planDifference(heads, turned).changed).toBe(false);
  const own = { ...heads, segments: example().segments };
  expect(planDifference(heads, own).ranges[0].change).toBe(
    "heads, a tree of 5 nodes -> a draft of the model's own blocks",
  );
  const plain = { ...heads, segments: [{ context_tokens: first.context_tokens, speculate: false }, ...rest] };
  expect(planDifference(plain, heads).ranges[0].change).toBe("plain decoding -> heads, a tree of 5 nodes");
});

test("the JSON names every changed block, not only those that fit a line, and every figure of both", () => {
  const [first] = plan.segments;
  const set = expandDraft(first.draft as Draft, plan.model.layers, "plan");
  const other = uniformChoices(plan.model.layers, "target");
  const predicted = { ...(first.predicted as Predicted), speedup: 1.25, tokens_per_second: 321.5, acceptance: 0.5 };
  const segment = { ...first, draft: compactDraft(other), draft_tokens: 1, predicted };
  const difference = planDifference(plan, { ...plan, segments: [segment, ...plan.segments.slice(1)] });
  const [range] = difference.ranges;
  expect(range.blocks).toEqual([
    ...set.blocks.flatMap((before, i) =>
      before === "target" ? [] : [{ block: blockName(i), before, after: "target" }],
    ),
    ...(set.head === "target" ? [] : [{ block: "head", before: set.head, after: "target" }]),
  ]);
  expect(range.blocks.length).toBeGreaterThan(8);
  expect(range).toMatchObject({
    draft_tokens: { before: first.draft_tokens, after: 1 },
    speedup: { after: 1.25 },
    tokens_per_second: { before: first.predicted?.tokens_per_second, after: 321.5 },
    acceptance: { before: first.predicted?.acceptance, after: 0.5 },
  });
  expect(differenceText(difference)).toMatch(
    / and \d+ more, .*\n.*1\.25, .* -> 321\.5 tokens\/s, acceptance .* -> 50\.0 %/,
  );
});

test("plans of different models are refused, and both are named", () => {
  const other = { ...plan, model: { ...plan.model, name: "another", architecture_sha256: "0".repeat(64) } };
  expect(() => planDifference(plan, other)).toThrow(/different models: .* and another/);
});

test("another device is said, and one that is not recorded", () => {
  const { device, ...unknown } = plan;
  const [first, ...others] = plan.segments;
  const segments = [{ ...first, draft_tokens: (first.draft_tokens ?? 0) + 1 }, ...others];
  const elsewhere = { ...plan, segments, device: { ...(device as Device), processor: "another" } };
  expect(differenceText(planDifference(plan, elsewhere))).toMatch(/^The plans were made on different devices/);
  expect(differenceText(planDifference(plan, { ...unknown, segments }))).toMatch(/^A plan does not record its device/);
});
