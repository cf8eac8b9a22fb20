import { describe, expect, test } from "vitest";
import { sha256 } from "../../src/schema/document.js";
import { EVERY_KIND } from "../support/example-documents.js";
import { attribute, family, loaded, named, pageText, parsePage, render, tableRows, textOf, within } from "./support.js";

const SETS = [
  ...EVERY_KIND.map(([kind, example]) => [`a ${kind} alone`, [loaded(example(), `${kind}.yaml`)]] as const),
  ["one of every kind", family()] as const,
  ["the same kind many times", Array.from({ length: 9 }, (_, i) => ({ ...family()[3], path: `v${i}.yaml` }))] as const,
];

describe.each(SETS)("a page of %s", (_what, documents) => {
  const text = render(documents);
  const page = parsePage(text);
  const ids = page.elements.flatMap((element) => attribute(element, "id") ?? []);

  test("is well-formed HTML in English, with title and viewport", () => {
    expect(page.errors).toEqual([]);
    expect(text.startsWith("<!doctype html>\n")).toBe(true);
    expect(attribute(named(page, "html")[0], "lang")).toBe("en");
    expect(textOf(named(page, "title")[0])).toMatch(/^draftplan report/);
    expect(named(page, "meta").map((meta) => attribute(meta, "name"))).toContain("viewport");
  });

  test("loads nothing and runs nothing: no script, no handler, no address but its own anchors", () => {
    expect(named(page, "script", "link", "img", "iframe", "object", "embed", "base", "form", "use", "image")).toEqual(
      [],
    );
    const attributes = page.elements.flatMap(({ attrs }) => attrs);
    expect(attributes.filter(({ name }) => /^on|^src|^style$|^action$|^xlink:/.test(name))).toEqual([]);
    for (const { name, value } of attributes) if (name === "href") expect(value).toMatch(/^#[a-z0-9-]+$/);
    expect(text).not.toMatch(/url\(|@import|https?:/);
  });

  test("forbids by its policy what it does not do, and allows its own style alone", () => {
    const policy = named(page, "meta").find((meta) => attribute(meta, "http-equiv") === "Content-Security-Policy");
    const digest = Buffer.from(sha256(textOf(named(page, "style")[0])), "hex").toString("base64");
    expect(policy && attribute(policy, "content")).toBe(
      `default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'`,
    );
    expect(named(page, "style")).toHaveLength(1);
  });

  test("has one of each landmark, and headings that skip no level", () => {
    for (const landmark of ["header", "nav", "main", "footer", "h1"]) expect(named(page, landmark)).toHaveLength(1);
    const levels = named(page, "h1", "h2", "h3", "h4", "h5").map(({ tagName }) => Number(tagName[1]));
    levels.forEach((level, i) => {
      if (i > 0) expect(level - levels[i - 1]).toBeLessThanOrEqual(1);
    });
  });

  test("has every anchor once, and every link and label leads to one", () => {
    expect(new Set(ids).size).toBe(ids.length);
    for (const element of page.elements) {
      const href = attribute(element, "href");
      if (href !== undefined) expect(ids).toContain(href.slice(1));
      const label = attribute(element, "aria-labelledby");
      if (label !== undefined) expect(ids).toContain(label);
    }
  });

  test("lists every section and every document in its contents", () => {
    const listed = within(named(page, "nav")[0], "a").map((link) => attribute(link, "href"));
    for (const heading of named(page, "h2").slice(1)) expect(listed).toContain(`#${attribute(heading, "id")}`);
    expect(
      listed.filter((href) =>
        /^#(profile|plan|calibration|verification|comparison|targets|export)-\d+$/.test(href ?? ""),
      ),
    ).toHaveLength(documents.length);
  });

  test("names every table, its columns and its rows, and lets a keyboard scroll it", () => {
    for (const table of named(page, "table")) {
      expect(within(table, "caption").map(textOf).join("").trim()).not.toBe("");
      const [head, ...body] = within(table, "tr");
      expect(within(head, "th").every((cell) => attribute(cell, "scope") === "col")).toBe(true);
      for (const row of body) {
        expect(within(row, "th").map((cell) => attribute(cell, "scope"))).toEqual(["row"]);
        expect(within(row, "th", "td")).toHaveLength(within(head, "th").length);
      }
      const box = table.parentNode;
      expect(box && "attrs" in box && attribute(box, "tabindex")).toBe("0");
    }
  });

  test("says in words what every picture shows, and holds its numbers as a table", () => {
    const charts = named(page, "svg").filter((svg) => attribute(svg, "aria-hidden") !== "true");
    for (const chart of charts) {
      expect(attribute(chart, "role")).toBe("img");
      expect(attribute(chart, "aria-label")).toMatch(/\w.*\.$|\w/);
    }
    for (const figure of named(page, "figure")) {
      expect(within(figure, "figcaption")).toHaveLength(1);
      expect(within(figure, "details").flatMap((details) => within(details, "table"))).toHaveLength(1);
    }
    expect(named(page, "figure").flatMap((figure) => within(figure, "svg"))).toEqual(expect.arrayContaining(charts));
  });

  test("draws within its charts, with finite numbers", () => {
    for (const svg of named(page, "svg")) {
      const [, , width, height] = (attribute(svg, "viewBox") ?? "").split(" ").map(Number);
      for (const element of within(svg, "rect", "line", "text")) {
        for (const [name, most] of [
          ["x", width],
          ["x1", width],
          ["x2", width],
          ["y", height],
          ["y1", height],
        ] as const) {
          const value = attribute(element, name);
          if (value === undefined) continue;
          expect(Number(value)).toBeGreaterThanOrEqual(0);
          expect(Number(value)).toBeLessThanOrEqual(most);
        }
      }
    }
    expect(text).not.toMatch(/NaN|Infinity|undefined|\[object/);
  });

  test("is the same page every time", () => {
    expect(render(structuredClone(documents) as typeof documents)).toBe(text);
  });
});

test("says when it was made, as it was told", () => {
  expect(pageText(parsePage(render(family())))).toContain("Made 2026-02-03 04:05 UTC.");
});

test("every table can be found by its caption", () => {
  expect(tableRows(parsePage(render(family())), "Documents on this page")).toHaveLength(6);
});
