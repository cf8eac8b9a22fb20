/** Draft trees as a page draws them. */
import { describe, expect, test } from "vitest";
import { headsPlan } from "../support/heads-documents.js";
import { attribute, loaded, parsePage, render, textOf } from "./support.js";

const page = () => parsePage(render([loaded(headsPlan(), "plans/plan.yaml")]));
const charts = () => page().elements.filter(({ tagName }) => tagName === "svg");
const drawing = () => {
  const found = charts().find((svg) => /a tree of/.test(attribute(svg, "aria-label") ?? ""));
  if (found === undefined) throw new Error("no tree is drawn");
  return found;
};

describe("a plan that heads draft in", () => {
  test("has its tree drawn, with a text in place of the picture and every node in a table", () => {
    const { elements, errors } = page();
    expect(errors).toEqual([]);
    const label = attribute(drawing(), "aria-label") ?? "";
    expect(label).toMatch(/a tree of 5 nodes, 2 at depth 1, 3 at depth 2\./);
    expect(label).toMatch(/A round yields 2\.30 tokens/);
    const cells = elements.filter(({ tagName }) => tagName === "td").map(textOf);
    expect(cells).toContain("[0] [1]");
    expect(cells).toContain("[0, 0] [0, 2] [1, 0]");
  });

  test("each node is a circle that says its path, one column a depth and no two in one place", () => {
    const html = render([loaded(headsPlan(), "plans/plan.yaml")]);
    const svg = /<svg[^>]*a tree of 5 nodes.*?<\/svg>/s.exec(html)?.[0] ?? "";
    const nodes = [...svg.matchAll(/<g><title>([^<]*)<\/title><circle class="fill" cx="([\d.]+)" cy="([\d.]+)"/g)];
    const titles = nodes.map(([, title]) => title).sort();
    expect(titles).toEqual(["[0, 0]", "[0, 2]", "[0]", "[1, 0]", "[1]", "the pending token"].sort());
    expect(new Set(nodes.map(([, , x, y]) => `${x} ${y}`)).size).toBe(6);
    const columns = (depth: number) =>
      new Set(
        nodes.filter(([, title]) => title.split(",").length === depth && title.startsWith("[")).map(([, , x]) => x),
      );
    expect(columns(1).size).toBe(1);
    expect(columns(2).size).toBe(1);
    expect([...svg.matchAll(/<path class="edge"/g)]).toHaveLength(5);
    // children stand to the right of their parent
    const at = new Map(nodes.map(([, title, x]) => [title, Number(x)]));
    expect(at.get("[0]")).toBeLessThan(at.get("[0, 2]") as number);
  });

  test("says who drafts, and no strip of blocks is drawn for heads", () => {
    const html = render([loaded(headsPlan(), "plans/plan.yaml")]);
    expect(html).toMatch(/heads, a tree of 5 nodes/);
    const plain = headsPlan().segments.filter(({ speculate }) => !speculate);
    expect(html.match(/plain decoding, nothing is drafted/g) ?? []).toHaveLength(plain.length);
  });
});
