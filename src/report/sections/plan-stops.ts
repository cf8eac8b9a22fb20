/** Drafts of a fixed length beside drafts that end early, as a plan predicts both; nothing where it weighed one rule alone. */
import type { Segment } from "../../schema/plan.js";
import { numeric, table, text } from "../charts/figure.js";
import { factor, fixed, percent, significant } from "../format.js";
import { type Html, html, type Part } from "../html.js";
import { contextText, NONE } from "./facts.js";

export function stopTable(segments: readonly Segment[]): Html {
  const rows = segments.flatMap((segment): Part[][] => {
    const { stop, predicted, draft_tokens = 0 } = segment;
    if (stop === undefined) return [];
    const done = (rule: string) => (stop.rule === rule ? "done" : "");
    const early = stop.predicted;
    return [
      [
        contextText(segment),
        "fixed",
        done("fixed"),
        draft_tokens,
        draft_tokens,
        predicted === undefined ? NONE : fixed(predicted.accepted_length, 2),
        predicted === undefined ? NONE : factor(predicted.speedup),
        predicted === undefined ? NONE : significant(predicted.tokens_per_second),
        "",
      ],
      [
        contextText(segment),
        "early",
        done("early"),
        stop.draft_tokens,
        early === undefined ? NONE : fixed(early.mean_draft_tokens, 2),
        early === undefined ? NONE : fixed(early.accepted_length, 2),
        early === undefined ? NONE : factor(early.speedup),
        early === undefined ? NONE : significant(early.tokens_per_second),
        early === undefined
          ? NONE
          : early.draft_lengths.flatMap((share, i) => (share < 0.005 ? [] : `${i + 1}: ${percent(share)}`)).join(", "),
      ],
    ];
  });
  if (rows.length === 0) return html``;
  return table({
    caption:
      "When drafts end: always after the same number of tokens, or early, where going on is not expected to pay by how sure the draft is. Both were predicted; the one that is done is said.",
    columns: [
      text("Context, tokens"),
      text("Rule"),
      text("Done"),
      numeric("Drafted at most"),
      numeric("Drafted in the mean"),
      numeric("Tokens a round"),
      numeric("Speedup"),
      numeric("Tokens/s"),
      text("Rounds by length"),
    ],
    rows,
  });
}
