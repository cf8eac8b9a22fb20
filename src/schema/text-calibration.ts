/**
 * How well a lookup and other models guess a text: along the target's own continuations, position by position, so that
 * rounds of any settings follow one another exactly as in decoding (stats/text-rounds.ts), and both of them together.
 */
import { z } from "zod";
import { MAX_BRANCHES, MAX_DRAFT_TOKENS, MAX_NGRAM_TOKENS, ModelDrafter } from "./drafter.js";
import { ConfidenceTable } from "./stop/confidence.js";

/** Positions of one part that are kept. */
export const MAX_TEXT_POSITIONS = 8192;

const AT = {
  at_context: z.int().min(0),
  part: z.enum(["choose", "report"]).describe("choose: text plans are picked on; report: text never seen before"),
  positions: z.int().positive().max(MAX_TEXT_POSITIONS),
  kinds: z
    .array(z.int().min(0))
    .optional()
    .describe("[continuations] of which kind of text each is, as those of heads; absent: nobody says"),
};
const texts = (value: z.ZodType<number>) =>
  z.array(z.array(value).min(1).max(MAX_TEXT_POSITIONS)).min(1).max(MAX_TEXT_POSITIONS);

type Issue = (message: string, ...path: (string | number)[]) => void;

function requirePositions(
  lists: readonly (readonly number[])[],
  { positions, kinds }: { positions: number; kinds?: readonly number[] | undefined },
  issue: Issue,
): void {
  if (kinds !== undefined && kinds.length !== lists.length)
    issue(`${kinds.length} kinds of ${lists.length} texts`, "kinds");
  const total = lists.reduce((sum, { length }) => sum + length, 0);
  if (total !== positions) issue(`${positions}, and the texts have ${total}`, "positions");
}

/** A further place that a lookup may go on from. */
const Branch = z
  .tuple([
    z.int().min(1).max(MAX_NGRAM_TOKENS),
    z
      .int()
      .min(0)
      .max(MAX_DRAFT_TOKENS - 1),
    z.int().min(0).max(MAX_DRAFT_TOKENS),
  ])
  .describe(
    "tokens that match there; tokens that then followed as at a place before it in the order; tokens that follow in this text as they did there",
  );
export type LookupBranch = z.infer<typeof Branch>;

/** Further places belong to positions that have a first one, match no longer than it, and each no longer than the one before. */
function requireBranches(
  branches: readonly (readonly (readonly LookupBranch[])[])[] | undefined,
  matched: readonly (readonly number[])[],
  followed: readonly (readonly number[])[],
  issue: Issue,
): void {
  if (branches === undefined) return;
  const other = branches.findIndex((text, i) => text.length !== matched[i]?.length);
  if (other !== -1 || branches.length !== matched.length)
    issue("its texts are not those of matched", "branches", Math.max(0, other));
  branches.forEach((text, i) => {
    text.forEach((further, at) => {
      let most = matched[i]?.[at] ?? 0;
      const all = [followed[i]?.[at] ?? 0];
      for (const [tokens, shared, follows] of further) {
        if (tokens > most) issue(`${tokens} tokens match behind a place where ${most} do`, "branches", i, at);
        // what it shares with a place before it follows in the text at both or at neither
        if (follows > shared && all.some((before) => before > shared))
          issue("two places go on as the text does, and not alike", "branches", i, at);
        if (follows > text.length - at) issue(`${follows} tokens, and ${text.length - at} are left`, "branches", i, at);
        most = tokens;
        all.push(follows);
      }
    });
  });
}

export const LookupContext = z
  .strictObject({
    ...AT,
    branches: z
      .array(
        z
          .array(z.array(Branch).max(MAX_BRANCHES - 1))
          .min(1)
          .max(MAX_TEXT_POSITIONS),
      )
      .min(1)
      .max(MAX_TEXT_POSITIONS)
      .optional()
      .describe(
        "[continuations][positions][further places] where other tokens followed, in the order in which they are taken; absent: not looked at, and only the most recent place is planned with",
      ),
    matched: texts(z.int().min(0).max(MAX_NGRAM_TOKENS)).describe(
      "[continuations][positions] tokens of the longest n-gram ending there that stood before",
    ),
    followed: texts(z.int().min(0).max(MAX_DRAFT_TOKENS)).describe(
      "[continuations][positions] tokens that then follow as they did where it last stood; the text's end ends the count",
    ),
  })
  .superRefine(({ positions, kinds, matched, followed, branches }, context) => {
    const issue: Issue = (message, ...path) => context.addIssue({ code: "custom", message, path });
    requirePositions(matched, { positions, kinds }, issue);
    requireBranches(branches, matched, followed, issue);
    const other = matched.findIndex((text, i) => text.length !== followed[i]?.length);
    if (other !== -1 || matched.length !== followed.length)
      issue("its texts are not those of matched", "followed", Math.max(0, other));
    followed.forEach((text, i) => {
      const beyond = text.findIndex((count, at) => count > text.length - at);
      if (beyond !== -1) issue(`${text[beyond]} tokens, and ${text.length - beyond} are left`, "followed", i, beyond);
      const free = text.findIndex((count, at) => count > 0 && matched[i]?.[at] === 0);
      if (free !== -1) issue("tokens follow, and nothing matched", "followed", i, free);
    });
  });
export type LookupContext = z.infer<typeof LookupContext>;

export const LookupCalibration = z
  .strictObject({
    max_ngram_tokens: z.int().min(1).max(MAX_NGRAM_TOKENS).describe("longest n-gram that was looked up"),
    draft_tokens: z.int().min(1).max(MAX_DRAFT_TOKENS).describe("tokens that were looked at behind a match"),
    contexts: z.array(LookupContext).min(1).max(128),
  })
  .superRefine(({ contexts }, context) => onceEach(contexts, context));
export type LookupCalibration = z.infer<typeof LookupCalibration>;

const ModelContext = z
  .strictObject({
    ...AT,
    hits: texts(z.int().min(0).max(1)).describe(
      "[continuations][positions] 1 where the model's likeliest token behind the text is the target's own next one",
    ),
    confidence: ConfidenceTable.optional().describe(
      "the same by how sure the model was; absent: not looked at, and its drafts have a fixed length",
    ),
  })
  .superRefine(({ positions, kinds, hits }, context) =>
    requirePositions(hits, { positions, kinds }, (message, ...path) =>
      context.addIssue({ code: "custom", message, path }),
    ),
  );
export type ModelContext = z.infer<typeof ModelContext>;

export const ModelCalibration = z
  .strictObject({
    ...ModelDrafter.omit({ kind: true }).shape,
    contexts: z.array(ModelContext).min(1).max(128),
  })
  .superRefine(({ contexts }, context) => onceEach(contexts, context));
export type ModelCalibration = z.infer<typeof ModelCalibration>;

function onceEach(
  contexts: readonly { at_context: number; part: string }[],
  context: { addIssue(issue: { code: "custom"; message: string; path: (string | number)[] }): void },
): void {
  const known = new Set<string>();
  contexts.forEach(({ at_context, part }, i) => {
    const key = `${part} at ${at_context}`;
    if (known.has(key))
      context.addIssue({ code: "custom", message: `${key} tokens of context stands twice`, path: ["contexts", i] });
    known.add(key);
  });
}
