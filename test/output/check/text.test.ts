import { describe, expect, test } from "vitest";
import { visible } from "../../../src/core/text.js";
import { byFile, verdictLine, verdictOf } from "../../../src/output/check/text.js";
import { clean, inconclusive, regressed } from "./support.js";

describe("the verdict", () => {
  test.each([
    ["nothing found", clean(), false, "passed"],
    ["an error", { ...clean(), findings: regressed().findings }, false, "failed"],
    [
      "only warnings and notes",
      { ...clean(), findings: regressed().findings.filter((f) => f.severity !== "error") },
      false,
      "passed",
    ],
    ["a regression", { ...clean(), regressed: true }, false, "failed"],
    ["a measurement that could not tell", inconclusive(), false, "inconclusive"],
    ["the same with --fail-inconclusive", inconclusive(), true, "failed"],
    ["a regression beside one that could not tell", { ...inconclusive(), regressed: true }, false, "failed"],
  ])("of %s", (_what, result, failInconclusive, verdict) => {
    expect(verdictOf(result, failInconclusive)).toBe(verdict);
    expect(verdictLine(result, failInconclusive)).toMatch(new RegExp(`^${verdict}: `));
  });

  test("says how much was found, and what decided", () => {
    expect(verdictLine(regressed())).toBe("failed: 3 files, 3 errors, 1 warning, 1 note; slower than the baseline");
    expect(verdictLine(clean())).toBe("passed: 2 files, no findings");
    expect(verdictLine(inconclusive())).toBe("inconclusive: 2 files, 1 warning; the measurement could not tell");
  });
});

test("findings stand by file, errors first, and files that only a finding names come last", () => {
  const groups = byFile(regressed()).map(({ file, findings }) => [file, findings.map(({ code }) => code)]);
  expect(groups).toEqual([
    ["plans/a.plan.yaml", ["PLAN_DIFFERS", "DEVICE_DIFFERS"]],
    ["plans/b.plan.yaml", []],
    ["plans/c.plan.yaml", ["SLOWER_VERIFIED", "INPUT_UNAVAILABLE"]],
    ["profiles/p.yaml", ["DOCUMENT_SYNTAX"]],
  ]);
});

test.each([
  ["a control sequence", "a\u001b[31mb", "a\\u001b[31mb"],
  ["line breaks", "a\r\nb\tc", "a\\u000d\\nb\\tc"],
  ["what reorders text", "a\u202eb", "a\\u202eb"],
  ["what hides", "a\u200bb\ufeff", "a\\u200bb\\ufeff"],
  ["half a character", "a\ud800b\udc00", "a\\ud800b\\udc00"],
  ["and leaves words alone", "Modèle 漢字 😀 “ok”", "Modèle 漢字 😀 “ok”"],
])("text is made visible: %s", (_what, text, shown) => expect(visible(text)).toBe(shown));
