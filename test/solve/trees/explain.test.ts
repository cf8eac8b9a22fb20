/** Why a tree is what it is: against counting and the objective written out, in worlds where both are known. */
import { describe, expect, test } from "vitest";
import { openProblem, planDocument } from "../../../src/solve/index.js";
import { treeReason } from "../../../src/solve/trees/explain.js";
import { headsDrafter } from "../../../src/solve/trees/heads.js";
import { yieldOf } from "../../oracle/tree-speed.js";
import { LOOP, passUs } from "../../support/documents.js";
import { alone, HEADS_SHA, planted } from "./planted.js";

const AT = 256;
const PASS_US = 40;
const CHOOSE = alone([
  [[0, 0], 500],
  [[0, 1], 150],
  [[1, 0], 150],
  [[2], 50],
  [[], 150],
]);
/** with other figures, so that it shows which text an answer rests on */
const REPORT = alone([
  [[0, 0], 300],
  [[0, 1], 100],
  [[1, 0], 200],
  [[], 400],
]);
type Texts = typeof CHOOSE;

const verifyUs = (q: number): number => passUs(false, AT, q);
const stepUs = verifyUs(1) + LOOP.step_us;
const roundUs = (nodes: number) => PASS_US + verifyUs(nodes + 1) + LOOP.round_us;
const speedup = (tree: readonly string[], texts: Texts) =>
  ((tree.length === 0 ? 1 : yieldOf(tree, texts)) * stepUs) / roundUs(tree.length);
/** share of positions whose ranks begin with a node's */
const chance = (ranks: readonly number[], texts: Texts) => {
  const positions = texts.flat();
  return positions.filter((seen) => ranks.every((rank, i) => seen[i] === rank)).length / positions.length;
};

const world = planted({
  ...{ heads: 2, passes: PASS_US },
  contexts: [
    { at_context: AT, part: "choose", texts: CHOOSE },
    { at_context: AT, part: "report", texts: REPORT },
  ],
});
const problem = openProblem({ ...world, choices: ["int8", "skip"] });
const drafter = (...tree: number[][]) => headsDrafter({ path: "heads", sha256: HEADS_SHA }, tree);
const text = (tree: readonly (readonly number[])[]) => tree.map((ranks) => ranks.join(","));

describe.each([
  ["choose", CHOOSE],
  ["report", REPORT],
] as const)("a tree explained by the text to %s", (evidence, texts) => {
  const tree = [[0], [0, 1], [0, 0], [1]];
  const reason = treeReason(problem, AT, drafter(...tree), evidence);

  test("has each node's chance on that text, and what its passes take", () => {
    expect(reason?.nodes.map(({ ranks }) => ranks)).toEqual(tree);
    for (const node of reason?.nodes ?? []) expect(node.chance).toBeCloseTo(chance(node.ranks, texts), 12);
    expect(reason?.headsUs).toBe(PASS_US);
    expect(reason?.verifyUs).toBeCloseTo(verifyUs(5), 9);
  });

  test("its last node is the leaf least often right there, with the speedups without it and with it", () => {
    const leaves = [[0, 1], [0, 0], [1]];
    const least = leaves.reduce((a, b) => (chance(b, texts) <= chance(a, texts) ? b : a));
    const { ranks, speedupWithout, speedupWith, costUs, breakEven } = reason?.last ?? expect.fail("has a last node");
    expect(ranks).toEqual(least);
    const rest = text(tree).filter((node) => node !== least.join(","));
    expect(speedupWith).toBeCloseTo(speedup(text(tree), texts), 9);
    expect(speedupWithout).toBeCloseTo(speedup(rest, texts), 9);
    expect(costUs).toBeCloseTo(roundUs(4) - roundUs(3), 9);
    // a node of that chance would leave tokens per time as they were
    const tokens = yieldOf(rest, texts);
    expect((tokens + breakEven) / roundUs(4)).toBeCloseTo(tokens / roundUs(3), 9);
  });

  test("its next node is the likeliest that it lacks and whose parent it has", () => {
    const next = reason?.next ?? expect.fail("has a next node");
    const candidates = [[2], [1, 0], [1, 1], [1, 2], [0, 2]];
    const best = candidates.reduce((a, b) => (chance(b, texts) > chance(a, texts) ? b : a));
    expect(next.ranks).toEqual(best);
    expect(next.speedupWith).toBeCloseTo(speedup([...text(tree), best.join(",")], texts), 9);
  });

  test("other depths are weighed by what trees are chosen by, whatever the text", () => {
    const best = (depth: number, candidates: string[][]) => {
      const speeds = candidates.map((nodes) => ({ depth, nodes: nodes.length, speedup: speedup(nodes, CHOOSE) }));
      return speeds.reduce((a, b) => (b.speedup > a.speedup ? b : a));
    };
    // the first k nodes by chance, of one depth and of two
    const flat = ["0", "1", "2"];
    const deep = ["0", "0,0", "1", "0,1", "1,0", "2"];
    const prefixes = (nodes: string[]) => nodes.map((_, k) => nodes.slice(0, k + 1));
    const expected = [best(1, prefixes(flat)), best(2, prefixes(deep).slice(1))];
    expect(reason?.depths).toEqual(expected.map((one) => ({ ...one, speedup: expect.closeTo(one.speedup, 9) })));
  });
});

test("of leaves that are as likely the last one of the tree is named: the one that a smaller tree would lack", () => {
  const reason = treeReason(problem, AT, drafter([0], [1], [0, 1], [1, 0]), "choose");
  expect(chance([0, 1], CHOOSE)).toBe(chance([1, 0], CHOOSE));
  expect(reason?.last?.ranks).toEqual([1, 0]);
});

test("a tree of one node has no last one to do without, and heads that nobody measured have no reasons", () => {
  expect(treeReason(problem, AT, drafter([0]), "choose")?.last).toBeNull();
  const other = headsDrafter({ path: "heads", sha256: "d".repeat(64) }, [[0]]);
  expect(treeReason(problem, AT, other, "choose")).toBeNull();
});

test("what heads are predicted has no gap to an LP bound: they are no knapsack", () => {
  const ref = (digit: string) => ({ path: "p.yaml", sha256: digit.repeat(64) });
  const { segments } = planDocument({ ...world, choices: ["int8"] }, { profile: ref("1"), calibration: ref("2") });
  const heads = segments.filter(({ drafter: by }) => by?.kind === "heads");
  expect(heads.length).toBeGreaterThan(0);
  for (const { predicted } of heads) expect(predicted).toMatchObject({ lp_gap_percent: 0, draft_us: PASS_US });
});
