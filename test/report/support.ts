/** Pages as a parser sees them, and inputs to make them from. */
import { type DefaultTreeAdapterTypes, defaultTreeAdapter, type ParserError, parse } from "parse5";
import { renderReport } from "../../src/report/index.js";
import type { PartCosts } from "../../src/report/types.js";
import { type AnyDocument, type Loaded, sha256, stringifyDocument } from "../../src/schema/document.js";
import type { Profile } from "../../src/schema/profile.js";
import { openLatency } from "../../src/solve/latency.js";
import { calibration, comparison, plan, profile, verification } from "../support/example-documents.js";

export type Element = DefaultTreeAdapterTypes.Element;
type Node = DefaultTreeAdapterTypes.Node;

export const CREATED = "2026-02-03T04:05:06.789Z";

export const loaded = (document: AnyDocument, path: string): Loaded<AnyDocument> => ({
  document,
  path,
  sha256: sha256(stringifyDocument(document)),
});

/** One document of every kind, each made from the others. */
export function family(): Loaded<AnyDocument>[] {
  const p = loaded(profile(), "profiles/p.yaml");
  const c = loaded(calibration(), "profiles/c.yaml");
  const inputs = {
    profile: { path: "../profiles/p.yaml", sha256: p.sha256 },
    calibration: { path: "../profiles/c.yaml", sha256: c.sha256 },
  };
  const made = loaded({ ...plan(), inputs }, "plans/plan.yaml");
  const ran = { ...verification(), plan: { path: "plan.yaml", sha256: made.sha256 } };
  const compared = loaded({ ...comparison(), inputs }, "plans/comparison.yaml");
  return [p, c, made, loaded(ran, "plans/verification.yaml"), compared];
}

export const render = (documents: readonly Loaded<AnyDocument>[], openCosts: (p: never) => PartCosts = openLatency) =>
  renderReport({ documents, created: CREATED, openCosts: openCosts as (p: Profile) => PartCosts });

export interface Parsed {
  /** in document order */
  elements: Element[];
  errors: string[];
}

export function parsePage(html: string): Parsed {
  const errors: string[] = [];
  const onParseError = (error: ParserError) => errors.push(`${error.code} at line ${error.startLine}`);
  const elements: Element[] = [];
  const visit = (node: Node) => {
    if (defaultTreeAdapter.isElementNode(node)) elements.push(node);
    if ("childNodes" in node) for (const child of node.childNodes) visit(child);
  };
  visit(parse(html, { onParseError, sourceCodeLocationInfo: true }));
  return { elements, errors };
}

export const attribute = (element: Element, name: string): string | undefined =>
  element.attrs.find((one) => one.name === name)?.value;

export const textOf = (node: Node): string =>
  defaultTreeAdapter.isTextNode(node)
    ? node.value
    : "childNodes" in node
      ? node.childNodes.map((child) => textOf(child)).join("")
      : "";

export const named = ({ elements }: Parsed, ...names: string[]): Element[] =>
  elements.filter(({ tagName }) => names.includes(tagName));

export const within = (element: Element, ...names: string[]): Element[] =>
  element.childNodes.flatMap((child) =>
    defaultTreeAdapter.isElementNode(child)
      ? [...(names.includes(child.tagName) ? [child] : []), ...within(child, ...names)]
      : [],
  );

/** The table of this caption, as rows of cell texts; the header is the first. */
export function tableRows(page: Parsed, caption: string | RegExp): string[][] {
  const table = named(page, "table").find((one) => {
    const text = within(one, "caption").map(textOf).join();
    return typeof caption === "string" ? text === caption : caption.test(text);
  });
  if (table === undefined) throw new Error(`no table ${caption}`);
  return within(table, "tr").map((row) => within(row, "th", "td").map((cell) => textOf(cell).trim()));
}

/** Everything a reader sees, white space run together. */
export const pageText = (page: Parsed): string => named(page, "body").map(textOf).join(" ").replace(/\s+/g, " ");
