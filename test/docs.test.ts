/** The pages in docs/ say what the code does: codes, exit codes, warnings, the example documents, links. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { ERROR_CODES, EXIT } from "../src/core/errors.js";
import { parseDocument } from "../src/schema/document.js";
import type { Plan } from "../src/schema/plan.js";
import { SOLVE_WARNINGS } from "../src/solve/warnings.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const PAGES = [
  "README.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  ...readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name.replaceAll("\\", "/")}`),
];

test.each(PAGES)("%s has no side of a merge left in it", (page) => {
  expect(read(page)).not.toMatch(/^(<{7} |={7}$|>{7} )/m);
});

interface Section {
  title: string;
  /** titles of the third level below it */
  codes: string[];
}

function sectionsOf(page: string): Section[] {
  const sections: Section[] = [];
  for (const [, level, title] of page.matchAll(/^(##|###) (.+)$/gm)) {
    if (level === "##") sections.push({ title, codes: [] });
    else sections.at(-1)?.codes.push(title);
  }
  return sections;
}

const errors = sectionsOf(read("docs/errors.md"));

/** Codes of `progress.warn("CODE", …)` in all sources, and those that a stage hands to its command. */
function warningCodes(): string[] {
  const files = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts"),
  );
  const codes = files.flatMap((file) =>
    [...read(join("src", file)).matchAll(/\bwarn\(\s*"([A-Z_]+)"/g)].map(([, code]) => code),
  );
  return [...new Set([...codes, ...SOLVE_WARNINGS])].sort();
}

describe("docs/errors.md", () => {
  test("explains every error code once, under its exit code", () => {
    const documented = errors.flatMap(({ title, codes }) => {
      const exit = /^Exit code (\d)$/.exec(title);
      return exit === null ? [] : codes.map((code) => [code, Number(exit[1])] as const);
    });
    expect(documented.length).toBe(new Set(documented.map(([code]) => code)).size);
    expect(Object.fromEntries(documented)).toEqual({ ...ERROR_CODES });
  });

  test("explains every warning of the code, and no other", () => {
    const codes = errors.find(({ title }) => title === "Warnings")?.codes ?? [];
    expect(warningCodes().length).toBeGreaterThan(0);
    expect([...codes].sort()).toEqual(warningCodes());
  });

  test("lists every exit code", () => {
    const listed = [...read("docs/errors.md").matchAll(/^\| (\d) \|/gm)].map(([, code]) => Number(code));
    expect(listed).toEqual(Object.values(EXIT).sort());
  });
});

describe("the plan in docs/documents.md", () => {
  const [, text] = /^```yaml\n([\s\S]*?)^```/m.exec(read("docs/documents.md")) ?? [];

  test("is valid", () => {
    expect(parseDocument(text, "docs/documents.md").kind).toBe("draftplan/plan");
  });

  test("predicts what its own parts give", () => {
    const { draft_tokens: d, predicted } = (parseDocument(text, "docs/documents.md") as Plan).segments[0];
    if (d === undefined || predicted === undefined) throw new Error("the example predicts nothing");
    const sum = predicted.acceptance_curve.reduce((a, b) => a + b, 0);
    const speed = (1e6 * sum) / (d * predicted.draft_us + predicted.verify_us + predicted.round_us);
    expect(predicted.acceptance_curve).toHaveLength(d + 1);
    expect(predicted.accepted_length).toBeCloseTo(sum, 6);
    expect(predicted.tokens_per_second).toBeCloseTo(speed, 3);
    expect(predicted.speedup).toBeCloseTo((speed * predicted.target_step_us) / 1e6, 5);
    expect(predicted.acceptance).toBeCloseTo((sum - 1) / (sum - predicted.acceptance_curve[d]), 6);
  });
});

/** GitHub's anchor of a heading. */
const anchor = (title: string): string =>
  title
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");

test.each(PAGES)("every relative link of %s leads somewhere", (page) => {
  const links = [...read(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link]) => link)
    .filter((link) => !/^[a-z]+:/.test(link));
  const broken = links.filter((link) => {
    const [path, heading] = link.split("#");
    const target = path === "" ? page : join(dirname(page), path);
    if (!existsSync(join(ROOT, target))) return true;
    if (heading === undefined) return false;
    return ![...read(target).matchAll(/^#+ (.+)$/gm)].some(([, title]) => anchor(title) === heading);
  });
  expect(broken).toEqual([]);
});

describe("the source tree in the README", () => {
  const [, tree] = /## Source tree\n\n```text\n([\s\S]*?)```/.exec(read("README.md")) as RegExpExecArray;
  const named = [...tree.matchAll(/^(\S+?)\/?\s/gm)].map(([, path]) => path);

  test("names what there is", () => {
    expect(named.length).toBeGreaterThan(20);
    for (const path of named) expect(existsSync(join(ROOT, path)), path).toBe(true);
  });

  test("names every folder of src", () => {
    const folders = readdirSync(join(ROOT, "src"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(named.filter((path) => /^src\/[^.]+$/.test(path)).sort()).toEqual(
      folders.map(({ name }) => `src/${name}`).sort(),
    );
  });
});
