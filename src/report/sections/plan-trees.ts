/** The trees that heads fill in a plan, each drawn once for all ranges that share it. */

import { counted } from "../../core/text.js";
import { mainDrafter } from "../../schema/drafter.js";
import type { Segment } from "../../schema/plan.js";
import { drafterText } from "../../schema/plan-text.js";
import { details, numeric, prose, table, text } from "../charts/figure.js";
import { treeChart } from "../charts/tree.js";
import { fixed, percent, whole } from "../format.js";
import { type Html, html, type Part } from "../html.js";
import { contextText, NONE, note } from "./facts.js";

interface DrawnTree {
  tree: number[][];
  segments: Segment[];
}

const MAX_TREES = 8;
/** Deeper trees have no room for a share above each column; the table has them. */
const MOST_SHARES = 8;

/** null where no heads draft */
export function treeFigures(segments: readonly Segment[]): Html | null {
  const drawn = distinctTrees(segments);
  if (drawn.length === 0) return null;
  const left = drawn.length - MAX_TREES;
  return html`<h4>The trees that heads fill</h4>
${note("Each circle is a drafted token, with its rank in its head’s list: 0 is the likeliest. Rounds accept one path from the left. Above each column: the share of rounds that accept so many tokens, as predicted.")}
<div class="figures">${drawn.slice(0, MAX_TREES).map(treeFigure)}</div>
${left > 0 && note(`${whole(left)} further trees are not drawn.`)}`;
}

function distinctTrees(segments: readonly Segment[]): DrawnTree[] {
  const trees = new Map<string, DrawnTree>();
  for (const segment of segments) {
    const drafter = mainDrafter(segment.drafter);
    if (drafter.kind !== "heads") continue;
    const { tree } = drafter;
    const key = JSON.stringify(tree);
    const known = trees.get(key) ?? { tree, segments: [] };
    known.segments.push(segment);
    trees.set(key, known);
  }
  return [...trees.values()];
}

function treeFigure({ tree, segments }: DrawnTree): Html {
  const where = `Context ${segments.map(contextText).join(", ")} tokens`;
  const [{ predicted, draft_tokens: depth = 0, drafter }] = segments;
  const shares = Array.from({ length: depth + 1 }, (_, i) => predicted?.acceptance_curve[i]);
  const columns = shares.map((share, i) => {
    const said = share === undefined || depth > MOST_SHARES ? "" : `${Math.round(100 * share)} %`;
    return `${i === 0 ? (depth > MOST_SHARES ? "" : "pending") : i}\n${said}`;
  });
  const byDepth = shares.slice(1).map((_, i) => tree.filter(({ length }) => length === i + 1));
  const words = byDepth.map((nodes, i) => `${nodes.length} at depth ${i + 1}`).join(", ");
  const yields =
    predicted === undefined ? "" : ` A round yields ${fixed(predicted.accepted_length, 2)} tokens, as predicted.`;
  return html`<figure><figcaption><strong>${where}</strong> <span>${drafterText(drafter)}, ${depth} deep.${yields}</span></figcaption>
${treeChart({ tree, columns, alternative: `${where}: a tree of ${counted(tree.length, "node")}, ${words}.${yields}` })}
${details(
  `Nodes by depth: ${where}`,
  table({
    caption: where,
    captionHidden: true,
    columns: [text("Depth"), numeric("Nodes"), numeric("Rounds that accept so many"), prose("Ranks along each path")],
    rows: byDepth.map((nodes, i): Part[] => [
      String(i + 1),
      nodes.length,
      shares[i + 1] === undefined ? NONE : percent(shares[i + 1] as number),
      nodes.map((ranks) => `[${ranks.join(", ")}]`).join(" "),
    ]),
  }),
)}</figure>
`;
}
