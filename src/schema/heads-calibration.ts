/**
 * How well trained heads know a text: at every position the ranks that the target's own next tokens have under the heads.
 * It suffices for the accepted length of any tree, exactly (stats/tree-rounds.ts).
 */
import { z } from "zod";
import { HeadsKind, HeadsRef, MAX_DRAFT_TOKENS, MAX_HEAD_RANKS, RankPath } from "./drafter.js";

/** Positions of one part that are kept: each is a number in the document. */
export const MAX_HEADS_POSITIONS = 8192;

const HeadsContext = z
  .strictObject({
    at_context: z.int().min(0),
    part: z.enum(["choose", "report"]).describe("choose: text plans are picked on; report: text never seen before"),
    positions: z.int().positive().max(MAX_HEADS_POSITIONS),
    paths: z
      .array(
        z.strictObject({
          ranks: z
            .array(RankPath.element)
            .max(MAX_DRAFT_TOKENS)
            .describe(
              "of the target's own next tokens under heads 1, 2, …, up to the first that is not among the likeliest looked at",
            ),
          positions: z.int().positive().describe("that have exactly these"),
        }),
      )
      .min(1)
      .describe("each once, the commonest first"),
    texts: z
      .array(z.array(z.int().min(0)).max(MAX_HEADS_POSITIONS))
      .min(1)
      .max(MAX_HEADS_POSITIONS)
      .describe(
        "[continuations][positions] which of the paths each position has, in the order of the text: rounds follow one another along it",
      ),
    kinds: z
      .array(z.int().min(0))
      .optional()
      .describe(
        "[continuations] of which kind of text each is, kinds counted from 0: texts were taken of each by turns, and how surely heads are known is told by how texts of a kind differ; absent: nobody says",
      ),
    windows: z
      .array(z.int().min(0))
      .optional()
      .describe(
        "[continuations] behind which window of text each stands: all of it or a beginning; those behind one are alike, and count as one text in the error; absent: each stands behind another",
      ),
  })
  .superRefine(({ positions, paths, texts, kinds, windows }, context) => {
    const issue = (message: string, ...path: (string | number)[]) =>
      context.addIssue({ code: "custom", message, path });
    if (kinds !== undefined && kinds.length !== texts.length)
      issue(`${kinds.length} kinds of ${texts.length} texts`, "kinds");
    if (windows !== undefined && windows.length !== texts.length)
      issue(`${windows.length} windows of ${texts.length} texts`, "windows");
    const counts = paths.map(() => 0);
    texts.forEach((text, i) => {
      const stray = text.findIndex((path) => path >= paths.length);
      if (stray !== -1) issue(`path ${text[stray]}, and there are ${paths.length}`, "texts", i, stray);
      for (const path of text) if (path < paths.length) counts[path]++;
    });
    const known = new Set<string>();
    paths.forEach((path, i) => {
      const key = path.ranks.join();
      if (known.has(key)) issue(`the path [${path.ranks.join(", ")}] stands twice`, "paths", i);
      known.add(key);
      if (counts[i] !== path.positions)
        issue(`${path.positions}, and texts has ${counts[i]} of it`, "paths", i, "positions");
    });
    const total = paths.reduce((sum, path) => sum + path.positions, 0);
    if (total !== positions) issue(`${positions}, and the paths have ${total}`, "positions");
  });
export type HeadsContext = z.infer<typeof HeadsContext>;

export const HeadsCalibration = z
  .strictObject({
    ...HeadsRef.shape,
    kind: HeadsKind,
    heads: z.int().min(1).max(MAX_DRAFT_TOKENS).describe("tokens they can draft one behind the other"),
    ranks: z.int().min(1).max(MAX_HEAD_RANKS).describe("likeliest tokens of each head that were looked at"),
    contexts: z.array(HeadsContext).min(1).max(128),
  })
  .superRefine(({ heads, ranks, contexts }, context) => {
    const issue = (message: string, ...path: (string | number)[]) =>
      context.addIssue({ code: "custom", message, path });
    const known = new Set<string>();
    contexts.forEach(({ at_context, part, paths }, i) => {
      const key = `${part} at ${at_context}`;
      if (known.has(key)) issue(`${key} tokens of context stands twice`, "contexts", i);
      known.add(key);
      paths.forEach((path, j) => {
        const at = ["contexts", i, "paths", j, "ranks"] as const;
        if (path.ranks.length > heads) issue(`${path.ranks.length} ranks, and there are ${heads} heads`, ...at);
        if (path.ranks.some((rank) => rank >= ranks)) issue(`a rank that is not below ${ranks}`, ...at);
      });
    });
  });
export type HeadsCalibration = z.infer<typeof HeadsCalibration>;
