/** Tables and, below 80 columns, records: of seeded cells, and of documents that travel with draftplan. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { comparisonTable } from "../../src/output/comparison-table.js";
import { profileTables } from "../../src/output/profile-tables.js";
import { drawTable, labelled, wrapWords } from "../../src/output/table.js";
import { verificationSummary } from "../../src/output/verification-summary.js";
import { readDocumentOf } from "../../src/schema/document.js";
import { seededRandom } from "../../src/stats/random.js";
import { comparison } from "../support/example-documents.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const FRAME = /[│─┌┐└┘├┤┬┴┼]/;

const form = {
  head: ["decoding", "tokens/s", "output\nof it"],
  rows: [
    ["target, plain", 317.2, "the target's own"],
    ["int8 alone", "496.0\n490.1–501.2", ""],
  ],
};

test("eighty columns and more are a table, fewer are records without its frame", () => {
  expect(drawTable(form, 80)).toMatch(FRAME);
  expect(drawTable(form, 79).split("\n")).toEqual([
    "decoding      target, plain",
    "tokens/s      317.2",
    "output of it  the target's own",
    "",
    "decoding      int8 alone",
    "tokens/s      496.0 490.1–501.2",
  ]);
});

test("a table wider than its terminal is told as records, and stays one where 80 columns are only assumed", () => {
  const wide = { head: ["a", "b"], rows: [["x".repeat(50), "y".repeat(50)]] };
  expect(drawTable(wide, 80)).toMatch(FRAME);
  expect(drawTable(wide, 100)).not.toMatch(FRAME);
  expect(drawTable(wide, 120)).toMatch(FRAME);
});

test("lines of a stacked head name the lines below them", () => {
  const stacked = { head: ["block\nchoice", "µs\ntarget"], rows: [["1.attn\nint8", "47\n74"]], stacked: true };
  expect(drawTable(stacked, 40).split("\n")).toEqual(["block   1.attn", "choice  int8", "µs      47", "target  74"]);
});

test("where a label leaves no room its text stands below it", () =>
  expect(labelled([["a label of some length", "its text"]], 30)).toBe("a label of some length\n  its text"));

const WORDS = ["a", "word", "another/path/of/some/length.yaml", "漢字が続く言葉", "1.48", "±", "x".repeat(90)];
test.each([1, 2, 3, 4, 5])("no word is lost and no line is wider than told (seed %i)", (seed) => {
  const random = seededRandom(seed);
  const below = random.index;
  for (let trial = 0; trial < 40; trial++) {
    const words = Array.from({ length: 1 + below(12) }, () => WORDS[below(WORDS.length)]);
    const columns = 8 + below(70);
    const lines = wrapWords(words.join(" "), columns);
    expect(lines.join("").replaceAll(" ", "")).toBe(words.join(""));
    // the two that take two columns each
    const width = (line: string) => [...line].reduce((sum, one) => sum + (/[\u3000-\u9fff]/.test(one) ? 2 : 1), 0);
    expect(Math.max(...lines.map(width))).toBeLessThanOrEqual(columns);
  }
});

describe("what commands print in few columns has no frame and all figures", () => {
  const at = (path: string) => join(ROOT, path);
  const verification = readDocumentOf("draftplan/verification", at("plans/union-10m.verification.yaml")).document;
  const profile = readDocumentOf("draftplan/profile", at("profiles/union-10m.profile.yaml")).document;
  const all: [what: string, text: (columns: number) => string][] = [
    ["a verification", (columns) => verificationSummary(verification, columns).join("\n")],
    ["a profile", (columns) => profileTables(profile, columns)],
    ["a comparison", (columns) => comparisonTable(comparison(), columns)],
  ];
  test.each(all)("%s", (_what, text) => {
    const figures = (columns: number) => new Set(text(columns).match(/\d+\.\d+/g));
    for (const columns of [30, 60, 79]) {
      expect(text(columns)).not.toMatch(FRAME);
      expect([...figures(80)].filter((figure) => !figures(columns).has(figure))).toEqual([]);
    }
  });
  test("a verification keeps to its columns where the words do", () =>
    expect(
      verificationSummary(verification, 44)
        .flatMap((text) => text.split("\n"))
        .slice(3)
        .filter((line) => line.length > 44),
    ).toEqual([]));
});
