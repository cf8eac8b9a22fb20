/** The keys of trained heads and draft trees in plans, calibrations and profiles. */
import { describe, expect, test } from "vitest";
import type { Calibration } from "../../src/schema/calibration.js";
import { type AnyDocument, parseDocument, stringifyDocument } from "../../src/schema/document.js";
import { MAX_TREE_NODES, treeDepth } from "../../src/schema/drafter.js";
import type { Plan, Segment } from "../../src/schema/plan.js";
import type { Profile } from "../../src/schema/profile.js";
import { calibration, plan, profile } from "../support/example-documents.js";
import { failureOf } from "../support/failure.js";
import { headsCalibration, headsPlan, headsProfile } from "../support/heads-documents.js";

const read = (document: AnyDocument) => parseDocument(stringifyDocument(document), "some.yaml");

/** Where a document is wrong, and what is said of it. */
async function fault(document: AnyDocument): Promise<string> {
  const { code, at, message } = await failureOf(() => read(document));
  expect(code).toBe("DOCUMENT_INVALID");
  return `${at.replace(/^some\.yaml(:\d+)?: /, "")}: ${message}`;
}

test.each([
  ["plan", headsPlan],
  ["calibration", headsCalibration],
  ["profile", headsProfile],
] as const)("a %s with heads is read back as it was written, and the same text is written again", (_kind, example) => {
  const text = stringifyDocument(example());
  expect(read(example())).toEqual(example());
  expect(stringifyDocument(parseDocument(text, "some.yaml"))).toBe(text);
});

test("documents without heads say nothing of them", () => {
  for (const document of [plan(), calibration(), profile()])
    expect(stringifyDocument(read(document))).not.toMatch(/heads:|drafter|tree/);
});

describe("a segment", () => {
  const change = (changes: Partial<Segment>): Plan => {
    const document = headsPlan();
    return { ...document, segments: [{ ...document.segments[0], ...changes }, document.segments[1]] };
  };
  const heads = headsPlan().segments[0].drafter as Extract<Segment["drafter"], { kind: "heads" }>;
  const withTree = (tree: number[][]) => change({ drafter: { ...heads, tree }, draft_tokens: treeDepth(tree) || 1 });
  const blocks = plan().segments[0].draft;

  test("may name the model's own blocks as its drafter, or nobody", () => {
    const named = change({ drafter: { kind: "self" }, draft: blocks, draft_tokens: 3 });
    expect((read(named) as Plan).segments[0].drafter).toEqual({ kind: "self" });
    expect((read(plan()) as Plan).segments[0].drafter).toBeUndefined();
  });

  test("takes trees up to the greatest, a chain among them", () => {
    const wide = Array.from({ length: MAX_TREE_NODES }, (_, rank) => [rank]);
    expect((read(withTree(wide)) as Plan).segments[0].drafter).toMatchObject({ tree: wide });
    read(withTree(Array.from({ length: 16 }, (_, i) => new Array<number>(i + 1).fill(0))));
  });

  test.each([
    ["blocks beside heads", change({ draft: blocks }), /draft: .*present, though the drafter is heads/],
    ["no blocks for the model's own draft", change({ drafter: { kind: "self" } }), /draft: .*missing/],
    ["another depth", change({ draft_tokens: 3 }), /draft_tokens: .*the tree is 2 deep/],
    ["no depth", change({ draft_tokens: undefined }), /draft_tokens: .*missing/],
    [
      "a drafter where nothing is speculated",
      change({ speculate: false }),
      /drafter: .*present, though speculate is false/,
    ],
    ["no node", withTree([]), /tree: /],
    ["too many nodes", withTree(Array.from({ length: 64 }, (_, i) => (i < 8 ? [i] : [i >> 3, i & 7]))), /tree: /],
    ["a node without ranks", withTree([[0], []]), /tree\[1\]: /],
    ["a path twice", withTree([[0], [1], [0]]), /tree\[2\]: .*stands twice/],
    ["a node whose parent is missing", withTree([[0], [1, 0]]), /tree\[1\]: .*must stand before it/],
    ["a child before its parent", withTree([[0, 1], [0]]), /tree\[0\]: .*must stand before it/],
    ["a rank that no head lists", withTree([[64]]), /tree\[0\]\[0\]: /],
    ["a rank below 0", withTree([[-1]]), /tree\[0\]\[0\]: /],
    ["half a rank", withTree([[0.5]]), /tree\[0\]\[0\]: /],
    [
      "a path deeper than a draft may be",
      withTree(Array.from({ length: 17 }, (_, i) => new Array(i + 1).fill(0))),
      /tree\[16\]|draft_tokens/,
    ],
    ["no digest", change({ drafter: { ...heads, sha256: "x" } }), /sha256: /],
    ["an unknown drafter", change({ drafter: { kind: "oracle" } as never }), /drafter/],
    ["an unknown key", change({ drafter: { ...heads, depth: 2 } as never }), /depth/],
  ])("is refused with %s", async (_what, document, said) => {
    expect(await fault(document)).toMatch(said);
  });

  test("a refused draft is of blocks or of heads", async () => {
    const refused = { draft_tokens: 2, at_context: 0, speedup: 0.9 };
    read(
      change({
        refuted: [
          { ...refused, drafter: heads },
          { ...refused, draft: blocks },
        ],
      }),
    );
    expect(await fault(change({ refuted: [{ ...refused, drafter: heads, draft: blocks }] }))).toMatch(
      /refuted\[0\]\.draft: .*present/,
    );
    expect(await fault(change({ refuted: [refused] }))).toMatch(/refuted\[0\]\.draft: .*missing/);
  });
});

describe("heads in a calibration", () => {
  const change = (alter: (heads: NonNullable<Calibration["heads"]>[number]) => void): Calibration => {
    const document = structuredClone(headsCalibration());
    alter((document.heads as NonNullable<Calibration["heads"]>)[0]);
    return document;
  };
  test.each([
    [
      "positions that the paths do not add up to",
      change((h) => {
        h.contexts[0].positions = 9;
      }),
      /positions: .*the paths have 7/,
    ],
    [
      "a count that the texts do not have",
      change((h) => {
        h.contexts[0].paths[0].positions = 9;
      }),
      /paths\[0\]\.positions: .*texts has 4/,
    ],
    [
      "a path that does not exist in a text",
      change((h) => {
        h.contexts[0].texts[1][0] = 3;
      }),
      /texts\[1\]\[0\]: .*there are 3/,
    ],
    [
      "a path twice",
      change((h) => {
        h.contexts[0].paths[1].ranks = [0, 0];
      }),
      /paths\[1\]: .*stands twice/,
    ],
    [
      "more ranks than heads",
      change((h) => {
        h.contexts[0].paths[0].ranks = [0, 0, 1];
      }),
      /ranks: .*there are 2 heads/,
    ],
    [
      "a rank that is not looked at",
      change((h) => {
        h.contexts[0].paths[0].ranks = [10];
      }),
      /ranks: .*not below 10/,
    ],
    ["a context and part twice", change((h) => void h.contexts.push(h.contexts[0])), /contexts\[2\]: .*stands twice/],
    [
      "another kind",
      change((h) => {
        h.kind = "eagle" as never;
      }),
      /kind: /,
    ],
  ])("are refused with %s", async (_what, document, said) => {
    expect(await fault(document)).toMatch(new RegExp(`heads\\[0\\]\\..*${said.source}`));
  });
});

describe("heads and trees in a profile", () => {
  const change = (alter: (document: Profile) => void): Profile => {
    const document = structuredClone(headsProfile());
    alter(document);
    return document;
  };
  const passes = ({ heads }: Profile, i: number) => (heads as NonNullable<Profile["heads"]>)[i].passes;
  const trees = ({ tree_passes }: Profile) => tree_passes as NonNullable<Profile["tree_passes"]>;
  test.each([
    [
      "a depth without a head",
      change((p) => {
        passes(p, 1)[2].depth = 2;
      }),
      /heads\[1\].*there are 2 heads/,
    ],
    [
      "rows that do not rise",
      change((p) => {
        passes(p, 1)[1].rows = 1;
      }),
      /heads\[1\].*rise/,
    ],
    [
      "Medusa's heads one by one",
      change((p) => {
        passes(p, 0)[0].depth = 0;
      }),
      /heads\[0\].*a pass of all heads/,
    ],
    ["a depth that was not measured", change((p) => void passes(p, 1).pop()), /heads\[1\].*depth 1 is missing/],
    [
      "a tree off the grid",
      change((p) => {
        trees(p)[0].query_tokens = 3;
      }),
      /tree_passes\[0\]: .*not on the grid/,
    ],
    ["a tree twice", change((p) => void trees(p).push(trees(p)[0])), /tree_passes\[2\]: .*twice/],
    [
      "a tree that takes no time",
      change((p) => {
        trees(p)[0].times_chain = 0;
      }),
      /times_chain/,
    ],
    [
      "other draws than the points",
      change((p) => {
        trees(p)[0].resampled = [1, 1];
      }),
      /tree_passes\[0\]\.resampled: .*draws/,
    ],
    [
      "other draws of a pass of heads",
      change((p) => {
        passes(p, 0)[0].resampled = [1];
      }),
      /heads\[0\].*draws/,
    ],
  ])("are refused with %s", async (_what, document, said) => {
    expect(await fault(document)).toMatch(said);
  });
});
