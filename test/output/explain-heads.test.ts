/** What `explain` says of a plan that heads draft in: sentences, drawing and JSON, from a world where the answers are known. */
import { expect, test } from "vitest";
import { explanationJson } from "../../src/output/explain/json.js";
import { explanationText } from "../../src/output/explain/text.js";
import { treeLines } from "../../src/output/explain/tree.js";
import { explainDraft, planDocument, plannedBy } from "../../src/solve/index.js";
import { alone, HEADS_SHA, planted } from "../solve/trees/planted.js";
import { LAYERS } from "../support/documents.js";

const AT = 256;
const texts = alone([
  [[0, 0], 500],
  [[0, 1], 200],
  [[1, 0], 100],
  [[], 200],
]);
const world = planted({
  ...{ heads: 2, passes: 40 },
  contexts: (["choose", "report"] as const).map((part) => ({ at_context: AT, part, texts })),
});
const input = { ...world, choices: ["int8" as const], drafters: ["heads" as const] };
const ref = (digit: string) => ({ path: `${digit}.yaml`, sha256: digit.repeat(64) });
const plan = planDocument(input, { profile: ref("1"), calibration: ref("2") });
const segment = plan.segments.find(({ context_tokens: { from, to } }) => from <= AT && AT < to) ?? plan.segments[0];
const explanation = explainDraft(input, AT, plannedBy(segment, LAYERS, "plan"));

test("text: who drafts, what a round takes, what the tree's edge brings, and the tree drawn", () => {
  const text = explanationText(explanation, plan, true).replace(/\n {2}(?=\S)/g, " ");
  const { draft } = explanation;
  const tree = draft?.tree ?? expect.fail("heads draft there");
  expect(text).toContain(`2 tokens drafted a round, with heads, a tree of ${tree.nodes.length} nodes.`);
  expect(text).toMatch(/Drafting a round takes 0\.04 ms, a plain step \d+\.\d\d ms\./);
  expect(text).toContain("(measured on text it was not chosen on)");
  expect(text).toMatch(/The heads take 0\.04 ms a round, judging the tree \d\.\d\d ms\./);
  const { last } = tree;
  expect(text).toContain(`Its last node, [${last?.ranks.join(", ")}], is on the accepted path at`);
  expect(text).toContain(`${last?.speedupWithout.toFixed(3)} without it, ${last?.speedupWith.toFixed(3)} with it.`);
  expect(text).toMatch(
    /The best trees of other depths by the text of choosing, with their nodes: depth 1 \d\.\d\d \(\d\)/,
  );
  // 800 of 1,000 positions have the first head's first guess or its second
  expect(text).toContain("pending token\n├─ 0   70.0 %\n│  ├─ 0   50.0 %\n│  └─ 1   20.0 %\n└─ 1   10.0 %");
});

test("JSON: the same figures under their names", () => {
  const json = JSON.parse(JSON.stringify(explanationJson(explanation, segment)));
  expect(json).toMatchObject({ draft: null, blocks: [], draft_tokens: 2, evidence: "report", refuted: [] });
  expect(json.drafter).toMatchObject({ kind: "heads", sha256: HEADS_SHA });
  expect(json.tree).toMatchObject({ heads_us: 40, last_node: { chance: explanation.draft?.tree?.last?.chance } });
  expect(json.tree.nodes[0]).toEqual({ ranks: [0], chance: 0.7 });
});

test("a large tree is drawn by its likeliest nodes, and the rest is counted", () => {
  const nodes = Array.from({ length: 30 }, (_, i) => ({ ranks: [i], chance: 0.5 / (i + 1) }));
  const lines = treeLines({ nodes }, false);
  expect(lines).toHaveLength(1 + 24 + 1);
  expect(lines.at(-1)).toBe("and 6 less likely nodes (--all lists every one)");
  expect(treeLines({ nodes }, true)).toHaveLength(31);
  expect(treeLines({ nodes: nodes.slice(0, 2) }, false)).toEqual(["pending token", "├─ 0   50.0 %", "└─ 1   25.0 %"]);
});
