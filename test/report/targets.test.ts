/** Ways to serve a model on the page and on a terminal: the same figures, and the answer in words. */
import { describe, expect, test } from "vitest";
import { targetsLines, targetsTable } from "../../src/output/targets-table.js";
import { parseDocument, stringifyDocument } from "../../src/schema/document.js";
import { fastest, type TargetComparison } from "../../src/schema/targets/document.js";
import { targets } from "../support/example-documents.js";
import { expectFailure } from "../support/failure.js";
import { loaded, pageText, parsePage, render, tableRows } from "./support.js";

const pageOf = (document: TargetComparison) => parsePage(render([loaded(document, "plans/t.yaml")]));

describe("targets on the page", () => {
  test("have a row for every way, and one for what each target loses", () => {
    const page = pageOf(targets());
    const [, ...rows] = tableRows(page, "Every way at context 128");
    expect(rows.map(([target, drafter, , , speed, , over, , own]) => [target, drafter, speed, over, own])).toEqual([
      ["fp32", "none", "50.0", "1.00×", "1.00×"],
      ["fp32", "lookup", "62.5", "1.25×", "1.25×"],
      ["int8", "none", "100", "2.00×", "1.00×"],
      ["int8", "lookup", "125", "2.50×", "1.25×"],
    ]);
    expect(rows.map((row) => row.at(-1))).toEqual([
      ...["its target’s own", "its target’s own", "its target’s own", "its target’s own, 1 tie"],
    ]);
    const [, first, second] = tableRows(page, "Quality on text held back");
    expect(first).toEqual(["fp32", "540", "12.5", "1.0000", "1.0000 to 1.0000", "100.0 %", "100.0 % to 100.0 %"]);
    expect(second).toEqual([
      ...["int8 (the file has 210 tensors in Q4_1, quantised once more)", "152", "12.6"],
      ...["1.0080", "1.0050 to 1.0110", "97.5 %", "97.0 % to 98.0 %"],
    ]);
    expect(pageText(page)).toContain("Fastest of those that are lossless for their own target: int8, lookup.");
  });

  test("say which way is not lossless; it is not the fastest then", () => {
    const document = targets();
    Object.assign(document, { lossless: false });
    Object.assign(document.contexts[0].ways[3], { lossless: false });
    const text = pageText(pageOf(document));
    expect(text).toContain("not lossless: int8, lookup");
    expect(text).toContain("lossless for their own target: int8, plain.");
    expect(fastest(document.contexts[0].ways)).toBe(document.contexts[0].ways[2]);
    expect(targetsTable(document)).toContain("NOT lossless: some runs");
  });
});

test("the terminal's answer says the fastest way, what it loses, and the fastest of the reference's own output", () => {
  const text = targetsTable(targets());
  for (const words of [
    "At context 128 the fastest lossless way is int8 with lookup, 125.0 tokens/s, 2.50 times plain fp32",
    "its output is that of int8: perplexity +0.80 % (+0.50 to +1.10), 97.5 % (97.0 to 98.0) of tokens as fp32",
    "Of fp32's own output it is fp32 with lookup, 62.5 tokens/s, 1.25 times plain fp32.",
    "* int8: the file has 210 tensors in Q4_1, quantised once more",
  ])
    expect(text).toContain(words);
  for (const line of text.split("\n").filter((row) => row.startsWith("│"))) expect(line.length).toBeLessThanOrEqual(92);
  expect(targetsLines(targets())[1]).toBe(
    "int8: perplexity 12.60, +0.80 % (+0.50 to +1.10), 97.5 % (97.0 to 98.0) of tokens as fp32",
  );
});

test.each([
  ["a target twice", (t: TargetComparison): void => void t.targets.push(t.targets[0]), /named twice/],
  [
    "a way of no target",
    (t: TargetComparison): void => void Object.assign(t.contexts[0].ways[1], { target: "int4" }),
    /not among targets/,
  ],
  ["no plain decoding of the reference", (t: TargetComparison): void => void t.contexts[0].ways.shift(), /is missing/],
  [
    "a verdict that is not the ways'",
    (t: TargetComparison): void => void Object.assign(t, { lossless: false }),
    /does not say/,
  ],
] as const)("a document with %s is refused", async (_name, spoil, message) => {
  const document = targets();
  spoil(document);
  await expectFailure(() => parseDocument(stringifyDocument(document), "t.yaml"), "DOCUMENT_INVALID", message);
});
