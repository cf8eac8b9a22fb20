/** Documents that are no YAML, as people write them: the message is draftplan's own, names the line, and quotes no library. */
import { describe, expect, test } from "vitest";
import { parseDocument } from "../../src/schema/document.js";
import { failureOf } from "../support/failure.js";

const head = "kind: draftplan/plan\nversion: 1\n";
const CASES: [what: string, text: string, message: string][] = [
  [
    "two documents",
    `${head}---\n${head}`,
    "multiple documents (a line --- separates them); keep one in each file, at line 3",
  ],
  ["a tab", `${head}\tmodel: x\n`, "indented by a tab; use spaces, at line 3"],
  ["a bracket that is open", `${head}segments: [1, 2\nmodel: x\n`, "at line 4"],
  [
    "a quote that is open",
    `${head}model: "x\n`,
    "a quote, a bracket, a comma or the space behind a colon is missing, at line",
  ],
  [
    "two keys on a line",
    "kind: draftplan: plan\n",
    "one line has two keys, or a text that holds ': ' has no quotes around it, at line 1",
  ],
  ["a key twice", `${head}version: 1\n`, "the key 'version' stands twice in one map at line 3"],
  ["an alias without an anchor", "kind: *none\n", "an alias (*name) stands before its anchor (&name), or has none"],
  ["a percent sign", `${head}%x: 1\n`, "begins with a character that needs quotes around the value, at line 3"],
  ["a backslash", `${head}model: "C:\\models"\n`, "a backslash in double quotes"],
  ["deep nesting", `${head}model: ${"[".repeat(40_000)}`, "nested too deeply"],
];

describe("the message of a document that is no YAML is in draftplan's words", () => {
  test.each(CASES)("%s", async (_what, text, message) => {
    const failure = await failureOf(() => parseDocument(text, "plan.yaml"));
    expect(failure.code).toBe("DOCUMENT_SYNTAX");
    expect(failure.what).toContain(message);
    // names of the library's functions and of YAML's grammar, which no writer of a document knows
    expect(failure.what).not.toMatch(/YAML\.|parseAll|implicit|flow|scalar|mapping|block collection|call stack/i);
  });
});

test("a merge key is named for what it is", async () => {
  const plan = `${head}model: &m {name: x}\nsegments: []\nconstraints:\n  <<: *m\n`;
  const { faults } = (await failureOf(() => parseDocument(plan, "plan.yaml"))) as unknown as {
    faults: { what: string }[];
  };
  expect(faults.map(({ what }) => what)).toContain("YAML's merge keys (<<) are not read; write the keys out");
});

test("what a value should be is said without the library's own words", async () => {
  const { what } = await failureOf(() => parseDocument(`${head}model: 3\n`, "plan.yaml"));
  expect(what).toMatch(/^expected object, found number/);
});
