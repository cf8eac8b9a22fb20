/** docs/findings.md explains what the code can find: every code once, with its severity. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { FINDING_CODES, finding } from "../../src/check/findings.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const page = readFileSync(join(ROOT, "docs/findings.md"), "utf8");
const sections = page.split(/^### /m).slice(1);

test("docs/findings.md explains every code once, with its severity", () => {
  const documented = sections.map((section) => {
    const [, code, severity] = /^([A-Z_]+)\n\n(error|warning|note)\./.exec(section) ?? [];
    return [code, severity] as const;
  });
  expect(documented.length).toBe(new Set(documented.map(([code]) => code)).size);
  expect(Object.fromEntries(documented)).toEqual({ ...FINDING_CODES });
});

test("and says of each how it comes about and what to do", () => {
  const lacking = sections.filter((section) => !/^How: \S/m.test(section) || !/^Do: \S/m.test(section));
  expect(lacking.map((section) => section.split("\n")[0])).toEqual([]);
});

test("every code is used in the sources, and no other", () => {
  const files = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readFileSync(join(ROOT, "src", name), "utf8"));
  const source = files.filter((text) => !text.includes("export const FINDING_CODES")).join("\n");
  const unused = Object.keys(FINDING_CODES).filter((code) => !source.includes(`"${code}"`));
  expect(unused).toEqual([]);
});

test("a finding has its code's severity", () => {
  expect(finding("NOT_LOSSLESS", "v.yaml", "lossless", "x")).toEqual({
    ...{ code: "NOT_LOSSLESS", severity: "error", file: "v.yaml", where: "lossless", message: "x" },
  });
});
