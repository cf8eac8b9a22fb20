/** The Markdown summary, rendered by a Markdown library and read as HTML: neither is part of draftplan. */
import fc from "fast-check";
import { marked } from "marked";
import { type DefaultTreeAdapterTypes, parseFragment } from "parse5";
import { describe, expect, test } from "vitest";
import { finding } from "../../../src/check/findings.js";
import { visible } from "../../../src/core/text.js";
import { checkMarkdown, code } from "../../../src/output/check/markdown.js";
import { trials } from "../../support/long.js";
import { clean, hostileResult, inconclusive, regressed } from "./support.js";

interface Rendered {
  /** names of all elements */
  elements: Set<string>;
  /** text of each <code> */
  codes: string[];
  /** all other text */
  prose: string;
  rows: number;
}

function render(markdown: string): Rendered {
  const found: Rendered = { elements: new Set(), codes: [], prose: "", rows: 0 };
  const textOf = (node: DefaultTreeAdapterTypes.ChildNode): string =>
    "value" in node ? node.value : "childNodes" in node ? node.childNodes.map(textOf).join("") : "";
  const visit = (node: DefaultTreeAdapterTypes.ChildNode): void => {
    if (node.nodeName === "#text" && "value" in node) found.prose += node.value;
    if (node.nodeName.startsWith("#")) return;
    found.elements.add(node.nodeName);
    if (node.nodeName === "tr") found.rows++;
    if (node.nodeName === "code") found.codes.push(textOf(node));
    else if ("childNodes" in node) node.childNodes.forEach(visit);
  };
  parseFragment(marked.parse(markdown, { async: false, gfm: true })).childNodes.forEach(visit);
  return found;
}

const ALLOWED = ["h3", "p", "strong", "ul", "li", "code", "table", "thead", "tbody", "tr", "th", "td"];
const trimmed = (text: string): string => text.replace(/\s+/g, " ").trim();

describe("the summary", () => {
  test("says the verdict, the counts, what decided, figures and findings", () => {
    expect(checkMarkdown(regressed())).toBe(
      [
        "### draftplan check: failed",
        "",
        "3 files, 3 errors, 1 warning, 1 note",
        "",
        "- `measured speedup: the whole interval lies beyond the tolerance of 5 %`",
        "",
        "**`plans/c.plan.yaml`**, beside the baseline",
        "",
        "| figure | context | baseline | candidate | change |",
        "| --- | --- | ---: | ---: | ---: |",
        "| measured speedup | all | 1.5 (1.45 to 1.55) | 1.2 (1.15 to 1.25) | -20.0 % |",
        "| predicted tokens per second | 0–512 | 413 | - | - |",
        "",
        "**`plans/a.plan.yaml`**",
        "",
        "- error **PLAN_DIFFERS** at `segments[0].draft_tokens`: `5 here, and 7 when solved again`",
        "- note **DEVICE_DIFFERS** at `device`: `another device: only ratios and acceptance compare`",
        "",
        "**`plans/c.plan.yaml`**",
        "",
        "- error **SLOWER_VERIFIED** at `speedup`: `1.2 against 1.5 of the baseline, 20 % slower`",
        "- warning **INPUT_UNAVAILABLE** at `inputs.profile`: `there is no such file`",
        "",
        "**`profiles/p.yaml`**",
        "",
        "- error **DOCUMENT_SYNTAX**: `not readable as YAML: bad indentation at line 3, column 1`",
        "",
      ].join("\n"),
    );
  });

  test("calls a measurement that could not tell inconclusive", () => {
    expect(checkMarkdown(inconclusive())).toMatch(/^### draftplan check: inconclusive\n/);
    expect(checkMarkdown(inconclusive(), true)).toMatch(/^### draftplan check: failed\n/);
  });

  test("of very many findings fits a comment, and says that there are more", () => {
    const findings = Array.from({ length: 5000 }, (_, i) =>
      finding("PLAN_DIFFERS", `plans/${i}.yaml`, "", "`x`".repeat(900)),
    );
    const text = checkMarkdown({ ...clean(), findings });
    expect(text.length).toBeLessThan(65_536);
    expect(text).toContain("5000 errors");
    expect(text).toMatch(/More was found than fits here/);
    expect(text.split("\n").filter((line) => line.includes("PLAN_DIFFERS")).length).toBeGreaterThan(15);
  });
});

describe("whatever documents say", () => {
  test("it stands in code spans, letter for letter, and is no markup", () => {
    fc.assert(
      fc.property(hostileResult, (result) => {
        const { elements, codes, prose, rows } = render(checkMarkdown(result));
        expect([...elements].filter((name) => !ALLOWED.includes(name))).toEqual([]);
        const shown = new Set(codes.map(trimmed));
        for (const { file, where, message } of result.findings) {
          for (const text of [file, where, message]) {
            if (text.length < 900 && text.trim() !== "") expect(shown).toContain(trimmed(visible(text)));
          }
        }
        expect(prose).not.toMatch(/[@<>`\\]|:\/\//);
        const tables = new Set(result.compared.map(({ file }) => file)).size;
        expect(rows).toBe(result.compared.length + tables);
      }),
      { seed: 5, numRuns: trials(100, 500) },
    );
  });

  test.each([["`"], ["``"], ["a`b``c"], [" x "], [""], ["\\"], ["`x"], ["x`"], ["a|b"]])(
    "a code span of %j is one",
    (text) => {
      const { elements, codes } = render(`- ${code(text)} end`);
      expect([...elements].sort()).toEqual(["code", "li", "ul"]);
      expect(codes.map((each) => each.trim())).toEqual([text.trim()]);
    },
  );
});
