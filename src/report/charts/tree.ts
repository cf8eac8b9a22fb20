/**
 * A draft tree from left to right: the pending token, and in each column the tokens drafted one further. A node shows its
 * rank in its head's list; its path is said where a pointer rests on it, and in the table below the drawing.
 */
import { type Html, html } from "../html.js";
import { place, TEXT_HEIGHT, WIDTH } from "./axis.js";
import { svg } from "./figure.js";
import { seriesGroup } from "./series.js";

export interface TreeChart {
  /** [nodes] ranks along each node's path, parents before children */
  tree: readonly (readonly number[])[];
  /** [depth + 1] what stands above each column, the pending token's first */
  columns: readonly string[];
  alternative: string;
}

interface Placed {
  ranks: readonly number[];
  x: number;
  y: number;
  parent: Placed | null;
  children: Placed[];
}

const ROW = 17;
const RADIUS = 7;
const TOP = 34;
/** so that the first and the last column's words have room */
const SIDE = 24;

export function treeChart({ tree, columns, alternative }: TreeChart): Html {
  const root = rooted(tree);
  const across = (WIDTH - 2 * SIDE) / Math.max(1, columns.length - 1);
  const x = (depth: number) => SIDE + depth * across;
  const rows = lay(root, 0, x);
  const nodes = flattened(root);
  const edges = nodes.flatMap(({ parent, ...to }) => (parent === null ? [] : [edge(parent, to)]));
  const height = TOP + Math.max(1, rows) * ROW;
  return svg(
    height,
    alternative,
    html`<g class="axis">${columns.map((name, depth) => words(name, x(depth), height))}</g>`,
    seriesGroup({ look: 5 }, ...edges),
    seriesGroup({ look: 0 }, ...nodes.map(circle)),
  );
}

function rooted(tree: readonly (readonly number[])[]): Placed {
  const root: Placed = { ranks: [], x: 0, y: 0, parent: null, children: [] };
  const known = new Map<string, Placed>([["", root]]);
  for (const ranks of tree) {
    const parent = known.get(ranks.slice(0, -1).join());
    if (parent === undefined) continue; // a document's schema refuses such a tree
    const placed: Placed = { ranks, x: 0, y: 0, parent, children: [] };
    parent.children.push(placed);
    known.set(ranks.join(), placed);
  }
  return root;
}

/** Leaves stand in rows of their own, others in the middle of their children. @returns the first free row */
function lay(at: Placed, row: number, x: (depth: number) => number): number {
  at.x = x(at.ranks.length);
  if (at.children.length === 0) {
    at.y = TOP + (row + 0.5) * ROW;
    return row + 1;
  }
  at.children.sort((a, b) => (a.ranks.at(-1) ?? 0) - (b.ranks.at(-1) ?? 0));
  const next = at.children.reduce((free, child) => lay(child, free, x), row);
  at.y = (at.children[0].y + at.children[at.children.length - 1].y) / 2;
  return next;
}

const flattened = (at: Placed): Placed[] => [at, ...at.children.flatMap(flattened)];

function edge(from: { x: number; y: number }, to: { x: number; y: number }): Html {
  const half = place((from.x + to.x) / 2);
  return html`<path class="edge" d="M${place(from.x)},${place(from.y)}C${half},${place(from.y)} ${half},${place(to.y)} ${place(to.x)},${place(to.y)}"/>`;
}

function circle({ ranks, x, y }: Placed): Html {
  const title = ranks.length === 0 ? "the pending token" : `[${ranks.join(", ")}]`;
  const rank = ranks.at(-1);
  return html`<g><title>${title}</title><circle class="fill" cx="${place(x)}" cy="${place(y)}" r="${RADIUS}"/>${rank !== undefined && html`<text x="${place(x)}" y="${place(y + 3.2)}" text-anchor="middle" font-size="9">${rank}</text>`}</g>`;
}

/** Two short lines above a column. */
function words(name: string, x: number, height: number): Html {
  const lines = name.split("\n");
  return html`<line x1="${place(x)}" x2="${place(x)}" y1="${TOP - 4}" y2="${place(height)}"/>${lines.map(
    (line, i) =>
      html`<text x="${place(x)}" y="${place(10 + i * (TEXT_HEIGHT + 1))}" text-anchor="middle">${line}</text>`,
  )}`;
}
