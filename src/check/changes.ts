/** What two plans do differently, context range by context range. */
import { counted } from "../core/text.js";
import { type ChangedChoice, changedChoices, expandDraft } from "../schema/choice.js";
import { lengthsText } from "../schema/length-by-batch.js";
import type { Plan, Predicted, Segment } from "../schema/plan.js";
import { draftText } from "../schema/plan-text.js";
import { agrees } from "./figures.js";

/** A range of contexts in which each of two plans has one segment. */
export interface Overlap {
  from: number;
  to: number;
  /** segments of both plans, with their place in the list */
  before: { segment: Segment; index: number };
  after: { segment: Segment; index: number };
}

/** Ranges that both plans cover, cut where either plan has a new segment. Segments have no gaps and do not overlap. */
export function overlaps(before: Plan, after: Plan): Overlap[] {
  const found: Overlap[] = [];
  let [b, a] = [0, 0];
  while (b < before.segments.length && a < after.segments.length) {
    const [left, right] = [before.segments[b], after.segments[a]];
    const from = Math.max(left.context_tokens.from, right.context_tokens.from);
    const to = Math.min(left.context_tokens.to, right.context_tokens.to);
    if (from < to) found.push({ from, to, before: { segment: left, index: b }, after: { segment: right, index: a } });
    if (left.context_tokens.to === to) b++;
    if (right.context_tokens.to === to) a++;
  }
  return found;
}

/** Where a segment stands in its plan; the part past a plan's end is no segment of it. */
export const whereOf = ({ segments }: Plan, index: number): string =>
  index < segments.length ? `segments[${index}]` : "segments";

const MAX_NAMED = 8;

/**
 * `1.attn int8 -> skip, head target -> int8, 13 -> 14 tokens drafted`, `heads: [0, 2] added, 16 -> 17 nodes`; null where
 * both do the same.
 */
export function describeChange(before: Segment, after: Segment, layers: number): string | null {
  const changes = [draftChange(before, after, layers), batchChange(before, after), stopChange(before, after)];
  const parts = changes.filter((part) => part !== null);
  return parts.length === 0 ? null : parts.join(", ");
}

/** `by batch 1 to 8: 4 -> 1 to 4: 4, 5 to 8: 2`; of plans that both draft. */
function batchChange(before: Segment, after: Segment): string | null {
  if (!before.speculate || !after.speculate) return null;
  const words = ({ draft_tokens_by_batch: steps }: Segment) => (steps === undefined ? "not said" : lengthsText(steps));
  return words(before) === words(after) ? null : `by batch ${words(before)} -> ${words(after)}`;
}

/** `drafts end early -> after a fixed length`, `drafts end early by another rule`; of plans that both draft. */
function stopChange(before: Segment, after: Segment): string | null {
  if (!before.speculate || !after.speculate) return null;
  const done = ({ stop }: Segment) => (stop?.rule === "early" ? "early" : "after a fixed length");
  if (done(before) !== done(after)) return `drafts end ${done(before)} -> ${done(after)}`;
  const table = ({ stop }: Segment) => JSON.stringify([stop?.draft_tokens, stop?.confidence, stop?.go_on_from]);
  return done(before) === "early" && table(before) !== table(after) ? "drafts end early by another rule" : null;
}

function draftChange(before: Segment, after: Segment, layers: number): string | null {
  if (isOther(before) || isOther(after)) return drafterChange(before, after, layers);
  if (before.draft === undefined || after.draft === undefined) {
    if (before.speculate === after.speculate) return null;
    return after.speculate ? "plain decoding -> a draft" : "a draft -> plain decoding";
  }
  const changes = blockChanges(before, after, layers).map(
    (block) => `${block.block} ${block.before} -> ${block.after}`,
  );
  const named = changes.slice(0, MAX_NAMED).join(", ");
  const more = changes.length > MAX_NAMED ? ` and ${changes.length - MAX_NAMED} more` : "";
  const length =
    before.draft_tokens === after.draft_tokens
      ? []
      : [`${before.draft_tokens} -> ${counted(after.draft_tokens ?? 0, "token")} drafted`];
  const parts = [...(changes.length === 0 ? [] : [`${named}${more}`]), ...length];
  return parts.length === 0 ? null : parts.join(", ");
}

/** Whether another than the model's own blocks drafts. */
const isOther = ({ drafter }: Segment): boolean => drafter !== undefined && drafter.kind !== "self";

/** Where another than the model's own blocks drafts in one of the two. */
function drafterChange(before: Segment, after: Segment, layers: number): string | null {
  const [old, now] = [before.drafter, after.drafter];
  if (old?.kind !== "heads" || now?.kind !== "heads") return otherChange(before, after, layers);
  const written = (tree: readonly (readonly number[])[]) => new Set(tree.map((ranks) => `[${ranks.join(", ")}]`));
  const [was, is] = [written(old.tree), written(now.tree)];
  const removed = [...was].filter((node) => !is.has(node));
  const added = [...is].filter((node) => !was.has(node));
  const listed = (nodes: readonly string[], what: string) => {
    if (nodes.length === 0) return [];
    const more = nodes.length > MAX_NAMED ? ` and ${nodes.length - MAX_NAMED} more` : "";
    return [`${nodes.slice(0, MAX_NAMED).join(", ")}${more} ${what}`];
  };
  const other = old.sha256 === now.sha256 ? [] : ["other heads"];
  const parts = [...other, ...listed(removed, "removed"), ...listed(added, "added")];
  if (parts.length === 0) return null;
  const sizes = was.size === is.size ? [] : [`${was.size} -> ${counted(is.size, "node")}`];
  const depths =
    before.draft_tokens === after.draft_tokens
      ? []
      : [`${before.draft_tokens} -> ${counted(after.draft_tokens ?? 0, "token")} deep`];
  return `heads: ${[...parts, ...sizes, ...depths].join(", ")}`;
}

/** Where one drafter took another's place, or drafts otherwise. */
function otherChange(before: Segment, after: Segment, layers: number): string | null {
  const same = [before, after].map(({ drafter, draft }) => JSON.stringify([drafter, draft]));
  const length =
    before.draft_tokens === after.draft_tokens
      ? []
      : [`${before.draft_tokens ?? 0} -> ${after.draft_tokens ?? 0} tokens drafted`];
  if (same[0] === same[1]) return length.length === 0 ? null : length.join();
  const kind = ({ drafter, speculate }: Segment) => (speculate ? (drafter?.kind ?? "self") : "none");
  const lengths = kind(before) === kind(after) ? length : [];
  return [`${whoDrafts(before, layers)} -> ${whoDrafts(after, layers)}`, ...lengths].join(", ");
}

const whoDrafts = ({ speculate, drafter, draft }: Segment, layers: number): string => {
  if (!speculate) return "plain decoding";
  return isOther({ drafter } as Segment) ? draftText({ drafter, draft }, layers) : "a draft of the model's own blocks";
};

/** Every block, and the head, that a segment's draft runs otherwise; none where either drafts nothing. */
export function blockChanges(before: Segment, after: Segment, layers: number): ChangedChoice[] {
  if (before.draft === undefined || after.draft === undefined) return [];
  return changedChoices(expandDraft(before.draft, layers, "draft"), expandDraft(after.draft, layers, "draft"));
}

/**
 * Percentages near 0, in percent: the gap's last digits are the noise of a subtraction, and a regret is written to the
 * hundredth, which another processor may round the other way.
 */
const PERCENT_TOLERANCE: Partial<Record<keyof Predicted, number>> = { lp_gap_percent: 1e-3, regret_percent: 0.011 };

/** Figures that are claimed and that the inputs do not give. What is not claimed cannot be wrong. */
export function wrongFigures(claimed: Predicted, given: Predicted): (keyof Predicted)[] {
  const keys = Object.keys(claimed) as (keyof Predicted)[];
  return keys.filter((key) => !isSame(claimed[key], given[key], PERCENT_TOLERANCE[key] ?? 0));
}

/** Equal but for rounding of numbers, at any depth. */
export function isSame(a: unknown, b: unknown, tolerance: number): boolean {
  if (typeof a === "number" && typeof b === "number") return agrees(a, b) || Math.abs(a - b) <= tolerance;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  const [left, right] = [Object.entries(a), new Map(Object.entries(b))];
  return (
    left.length === right.size &&
    left.every(([key, value]) => right.has(key) && isSame(value, right.get(key), tolerance))
  );
}
