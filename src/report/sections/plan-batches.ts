/** What a plan drafts for several sequences at once; nothing where it does not say. */
import type { Segment } from "../../schema/plan.js";
import { numeric, table, text } from "../charts/figure.js";
import { factor, significant } from "../format.js";
import { type Html, html, type Part } from "../html.js";
import { contextText, NONE } from "./facts.js";

export function batchTable(segments: readonly Segment[]): Html {
  const rows = segments.flatMap((segment) =>
    (segment.draft_tokens_by_batch ?? []).map(({ to, draft_tokens }, i, steps): Part[] => {
      const from = i === 0 ? 1 : steps[i - 1].to + 1;
      const measured = (segment.predicted?.by_batch ?? []).filter(({ batch }) => from <= batch && batch <= to);
      const cells = (of: (one: (typeof measured)[number]) => string): Part =>
        measured.length === 0 ? NONE : measured.map((one) => `${one.batch}: ${of(one)}`).join(", ");
      return [
        contextText(segment),
        from === to ? `${from}` : `${from} to ${to}`,
        draft_tokens,
        cells(({ speedup }) => factor(speedup)),
        cells(({ tokens_per_second }) => significant(tokens_per_second)),
      ];
    }),
  );
  if (rows.length === 0) return html``;
  return table({
    caption:
      "Several sequences at once: the draft length of each, and what measured batches are predicted to reach. Tokens/s are those of all sequences together; a speedup is over plain decoding of as many. Beyond the last range nothing is drafted.",
    columns: [
      text("Context, tokens"),
      text("Sequences"),
      numeric("Draft length"),
      text("Speedup, by batch"),
      text("Tokens/s, by batch"),
    ],
    rows,
  });
}
