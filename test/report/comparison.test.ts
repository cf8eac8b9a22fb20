import { describe, expect, test } from "vitest";
import { comparisonTable } from "../../src/output/comparison-table.js";
import { draftUsAt } from "../../src/report/sections/frontier.js";
import type { Comparison } from "../../src/schema/comparison.js";
import { curveFromRate, speedup, tokensPerSecond } from "../../src/solve/index.js";
import { comparison } from "../support/example-documents.js";
import { attribute, loaded, named, pageText, parsePage, render, tableRows, textOf, within } from "./support.js";

const pageOf = (document: Comparison) => parsePage(render([loaded(document, "plans/c.yaml")]));

describe("a comparison on the page", () => {
  test("has a row for every method: draft, length, acceptance, speed, speedup, error, ratio and time", () => {
    const [head, ...rows] = tableRows(pageOf(comparison()), "Every method at context 128");
    expect(head).toEqual([
      ...[
        "Method",
        "Draft",
        "d",
        "Acceptance",
        "Tokens/s",
        "Speedup",
        "The prediction is",
        "knapsack over it",
        "Solved in",
      ],
    ]);
    expect(rows).toEqual([
      [
        ...["knapsack", "target 1, int8 2, skip 1, head int8", "3", "90.0 % (93.0 %)", "100 (105)"],
        ...["2.00×, 1.90× to 2.10×", "5.0 % too high", "–none", "12.5 s"],
      ],
      [
        ...["none", "plain decoding", "–none", "–none", "50.0 (50.0)", "1.00×, 1.00× to 1.00×", "as measured"],
        ...["2.00×, 1.90× to 2.10×", "0.0 s"],
      ],
      [
        ...["int8", "int8 4, head int8", "2", "97.0 %", "80.0", "1.60×, 1.50× to 1.70×", "–none"],
        ...["1.25×, 1.20× to 1.30×", "1.5 s"],
      ],
    ]);
  });

  test("says which runs were not lossless, which drafts are the same and which change on the way", () => {
    const document = comparison();
    const [first, , third] = document.contexts[0].rows;
    Object.assign(document, { lossless: false });
    Object.assign(third, { lossless: false, same_draft_as: "knapsack" });
    Object.assign(first, { draft_changes_at: [130, 140], ties: 2 });
    const page = pageOf(document);
    expect(pageText(page)).toContain("not lossless: int8");
    const drafts = tableRows(page, "Every method at context 128").map((row) => row[1]);
    expect(drafts[1]).toBe("target 1, int8 2, skip 1, head int8; another from 130, 140 on; 2 ties");
    expect(drafts[3]).toBe("int8 4, head int8; as knapsack; not lossless");
  });

  test("names the heads that draft and their tree, and leaves them out of the picture of draft steps", () => {
    const document = comparison();
    const [first] = document.contexts[0].rows;
    const drafter = { kind: "heads" as const, path: "../heads", sha256: "c".repeat(64), tree: [[0], [1], [0, 0]] };
    document.methods[0].method = "heads";
    Object.assign(document, { baseline: "heads" });
    Object.assign(first, { method: "heads", drafter, draft: undefined, draft_tokens: 2 });
    const page = pageOf(document);
    const rows = tableRows(page, "Every method at context 128");
    expect(rows[1].slice(0, 3)).toEqual(["heads", "heads, a tree of 3 nodes", "2"]);
    const labels = named(page, "svg").map((svg) => attribute(svg, "aria-label") ?? "");
    expect(labels.filter((label) => label.includes("accepted"))).toEqual([]); // no method is a point
    expect(labels.some((label) => label.includes("heads: 100 tokens per second."))).toBe(true);
    expect(comparisonTable(document)).toContain("│ heads, a tree │");
  });

  test("draws the frontier: methods by name, the curve, other drafts, and their numbers", () => {
    const page = pageOf(comparison());
    const figure = named(page, "figure").find((one) => textOf(one).startsWith("Draft time against acceptance"));
    if (figure === undefined) throw new Error("no picture of the frontier");
    const [chart] = within(figure, "svg").filter((svg) => attribute(svg, "role") === "img");
    expect(attribute(chart, "aria-label")).toBe("knapsack: 90.0 % accepted, speedup 2.00×.");
    expect(within(chart, "text").map(textOf)).toEqual(expect.arrayContaining(["knapsack", "1×", "2×"]));
    const rows = within(within(figure, "details")[0], "tr").map((row) => within(row, "th", "td").map(textOf));
    // int8 has no draft time here, as nothing was predicted for it; what lies below the picture is left out
    expect(rows).toEqual([
      ["Point", "Draft step, ms", "Acceptance"],
      ["knapsack", "4.00", "90.0 %"],
      ["the frontier, expected", "3.00", "80.0 %"],
      ["the frontier, expected", "4.00", "93.0 %"],
      ["the frontier, expected", "20.0", "100.0 %"],
      ["another draft, measured", "8.00", "97.0 %"],
    ]);
  });

  test("names of points never cover each other, however close the points are", () => {
    const document = comparison();
    const [row] = document.contexts[0].rows;
    document.contexts[0].rows = Array.from({ length: 12 }, (_, i) => ({
      ...structuredClone(row),
      method: `method-${i}`,
      predicted: { acceptance: 0.9, draft_us: 4000 + 20 * i, tokens_per_second: 100, speedup: 2 },
    }));
    const chart = named(pageOf(document), "svg").find(
      (svg) =>
        /method-0:/.test(attribute(svg, "aria-label") ?? "") &&
        within(svg, "text").some((text) => textOf(text) === "acceptance rate"),
    );
    if (chart === undefined) throw new Error("no picture of the frontier");
    const boxes = within(chart, "text")
      .filter((text) => /^method-\d/.test(textOf(text)))
      .map((text) => {
        const [x, y] = ["x", "y"].map((name) => Number(attribute(text, name)));
        return { left: x, right: x + 6 * textOf(text).length, top: y - 9, bottom: y + 2 };
      });
    expect(boxes.length).toBeGreaterThan(6);
    for (const [i, a] of boxes.entries())
      for (const b of boxes.slice(0, i))
        expect(a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom).toBe(false);
  });

  test("has no picture where there is nothing to draw", () => {
    const document = comparison();
    const [at] = document.contexts;
    at.rows = at.rows.filter(({ method }) => method === "none");
    at.frontier = [];
    expect(pageText(pageOf(document))).not.toContain("Draft time against acceptance");
  });
});

describe("a line of equal speedup", () => {
  const costs = { target_step_us: 20_000, round_us: 50, verify_us: [20_500, 21_000, 21_800, 23_000, 26_000] };

  test.each([0.5, 0.7, 0.9, 0.99])("is where the best draft length gives that speedup: acceptance %d", (alpha) => {
    for (const wanted of [0.8, 1, 1.2, 1.5]) {
      const draftUs = draftUsAt(wanted, alpha, costs);
      if (draftUs === null) continue;
      const reached = costs.verify_us.map((verifyUs, i) =>
        speedup(
          tokensPerSecond({ acceptanceCurve: curveFromRate(alpha, i + 1), draftUs, verifyUs, roundUs: costs.round_us }),
          costs.target_step_us,
          0,
        ),
      );
      expect(Math.max(...reached)).toBeCloseTo(wanted, 9);
    }
  });

  test("does not exist where even a draft that costs nothing is too slow", () => {
    expect(draftUsAt(2, 0.5, costs)).toBeNull();
    expect(draftUsAt(1.9, 1, costs)).not.toBeNull();
  });
});
