import { describe, expect, test } from "vitest";
import { trendsOf } from "../../src/check/history.js";
import { renderReport } from "../../src/report/index.js";
import type { AnyDocument, Loaded } from "../../src/schema/document.js";
import type { Verification } from "../../src/schema/verification.js";
import { openLatency } from "../../src/solve/latency.js";
import { verification } from "../support/example-documents.js";
import { attribute, CREATED, loaded, named, pageText, parsePage, tableRows, textOf, within } from "./support.js";

const page = (documents: readonly Loaded<AnyDocument>[]) =>
  parsePage(
    renderReport({ documents, created: CREATED, openCosts: (profile) => openLatency(profile), followTrends: trendsOf }),
  );

const night = (i: number, changes: Partial<Verification> = {}): Loaded<AnyDocument> =>
  loaded(
    { ...verification(), created: new Date(Date.UTC(2026, 2, 1 + i, 2)).toISOString(), ...changes },
    `nightly/${i}.yaml`,
  );
const speedup = (median: number) => ({ median, low: median - 0.03, high: median + 0.03 });
const nights = (count: number, changes: (i: number) => Partial<Verification> = () => ({})) =>
  Array.from({ length: count }, (_, i) => night(i, changes(i)));
const trendSections = (parsed: ReturnType<typeof page>) =>
  named(parsed, "section").filter((section) => attribute(section, "aria-labelledby") === "trend");

describe("the trend section", () => {
  const slower = nights(20, (i) => ({
    speedup: speedup(i < 12 ? 1.5 : 1.35),
    acceptance: i < 9 ? 0.95 : 0.9,
    device: { ...verification().device, runtime: i < 12 ? "onnxruntime 1.30.0" : "onnxruntime 1.31.0" },
  }));
  const parsed = page([...slower].reverse());

  test("says what changed, by how much, since when, and what changed as well", () => {
    const items = trendSections(parsed)
      .flatMap((section) => within(section, "li"))
      .map(textOf);
    expect(items).toContain("Since 2026-03-10 02:00 UTC acceptance has fallen, from 95.0 % to 90.0 %.");
    expect(items).toContain(
      "Since 2026-03-13 02:00 UTC speedup has fallen by 10.0 %, from 1.50× to 1.35×; changed as well: runtime.",
    );
  });

  test("draws every verification, oldest first, and a level on both sides of a change", () => {
    const [section] = trendSections(parsed);
    const figures = within(section, "figure");
    expect(figures).toHaveLength(2);
    const titles = within(figures[0], "title").map(textOf);
    expect(titles.filter((title) => title.endsWith("measured"))).toHaveLength(20);
    expect(titles.find((title) => title.endsWith("measured"))).toBe("2026-03-01 02:00 UTC, measured");
    const marks = within(figures[0], "path").filter((path) => textOf(path).endsWith("measured"));
    const places = marks.map((mark) => Number(/translate\(([\d.]+) /.exec(attribute(mark, "transform") ?? "")?.[1]));
    expect(places).toHaveLength(20);
    expect(places.every((place, i) => i === 0 || place > places[i - 1])).toBe(true);
    expect(titles.filter((title) => title.startsWith("level"))).toEqual([
      ...["level 1.50×", "level 1.50×"],
      ...["level 1.35×", "level 1.35×"],
    ]);
  });

  test("has its numbers as a table, each linked to its verification", () => {
    const rows = tableRows(parsed, "Speedup, verification by verification");
    expect(rows).toHaveLength(21);
    expect(rows[1]).toEqual([
      ...["2026-03-01 02:00 UTC", "nightly/0.yaml", "aaaaaaaaaaaa", "onnxruntime 1.30.0"],
      ...["1.50×", "1.47× to 1.53×", "1.45×", "56.0", "lossless"],
    ]);
    const ids = parsed.elements.flatMap((element) => attribute(element, "id") ?? []);
    expect(new Set(ids).size).toBe(ids.length);
    for (const link of named(parsed, "a")) expect(ids).toContain(attribute(link, "href")?.slice(1));
  });

  test("is in the table of contents", () => {
    const [nav] = named(parsed, "nav");
    expect(within(nav, "a").map((link) => attribute(link, "href"))).toEqual(
      expect.arrayContaining(["#trend", "#trend-1"]),
    );
  });
});

describe("there is a trend", () => {
  const plan = (path: string) => ({ plan: { path, sha256: "a".repeat(64) } });
  test.each<[string, Loaded<AnyDocument>[], number]>([
    ["of two verifications of one plan", nights(2), 1],
    [
      "of each of two models",
      [...nights(2), ...nights(2, () => ({ model: { ...verification().model, weights_sha256: "c".repeat(64) } }))],
      2,
    ],
    ["but not of one verification", nights(1), 0],
    ["but not of different plans, verified once each", nights(3, (i) => plan(`${i}.yaml`)), 0],
    ["unless there are many, each with the date in its name", nights(10, (i) => plan(`${i}.yaml`)), 1],
    [
      "but not of verifications without a date",
      [loaded(verification(), "a.yaml"), loaded({ ...verification(), ties: 1 }, "b.yaml")].map(undated),
      0,
    ],
  ])("%s", (_what, documents, trends) => {
    const sections = trendSections(page(documents));
    expect(sections.flatMap((section) => within(section, "h3"))).toHaveLength(trends);
  });
});

function undated({ document, path }: Loaded<AnyDocument>): Loaded<AnyDocument> {
  const { created: _, ...rest } = document as Verification;
  return loaded(rest, path);
}

test("few verifications: it says that a change cannot be told yet", () => {
  expect(pageText(page(nights(4)))).toContain("too few verifications to tell a change of level from noise");
  expect(pageText(page(nights(12)))).toContain("No change of level was found.");
});

test("hostile names stay text", () => {
  const hostile = '</h3><script>alert(1)</script>"onload="x\u202e';
  const documents = nights(3, () => ({
    model: { ...verification().model, name: hostile },
    plan: { path: hostile, sha256: "a".repeat(64) },
    device: { ...verification().device, processor: hostile },
  }));
  const parsed = page(documents);
  expect({ errors: parsed.errors, scripts: named(parsed, "script") }).toEqual({ errors: [], scripts: [] });
  expect(
    trendSections(parsed)
      .flatMap((section) => within(section, "h3"))
      .map(textOf)
      .join(),
  ).toContain("<script>alert(1)");
});
