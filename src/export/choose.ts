/** Which segment of a plan an engine gets: it has one draft, and a plan has one for each range of contexts. */
import { DraftplanError } from "../core/errors.js";
import { modelBeside } from "../model/hub/cached.js";
import { expandDraft } from "../schema/choice.js";
import type { Loaded } from "../schema/document.js";
import type { DrafterRef } from "../schema/drafter.js";
import { type Plan, predictedAt, type Segment } from "../schema/plan.js";
import type { PlannedDraft } from "./exporter.js";

/**
 * The segment for a context, or without one the segment predicted to save most: the time that decoding through all of its
 * contexts once takes less than plain decoding does. Without predictions it is the first that speculates.
 * @throws NOTHING_TO_EXPORT where nothing is speculated
 */
export function chooseDraft({ document, path }: Loaded<Plan>, context: number | undefined): PlannedDraft {
  const { segments, model } = document;
  const index = context === undefined ? bestSegment(segments) : segments.findIndex((one) => covers(one, context));
  const segment = segments[index];
  if (segment === undefined || !segment.speculate) throw nothing(path, segments, context);
  const at = `${path}: segments[${index}]`;
  const { draft, draft_tokens: draftTokens, draft_tokens_by_batch: draftTokensByBatch } = segment;
  if (draftTokens === undefined) throw new Error(`${at} has no draft length, which its schema refuses`);
  const choices = draft === undefined ? null : expandDraft(draft, model.layers, `${at}.draft`);
  const drafter = withPaths(segment.drafter ?? { kind: "self" }, (file) => modelBeside(path, file));
  return { at, index, segment, drafter, choices, draftTokens, draftTokensByBatch };
}

/** A drafter whose heads or model lie elsewhere, as seen from somewhere else. `embedded` is a name, not a path. */
function withPaths<Ref extends DrafterRef>(drafter: Ref, moved: (path: string) => string): Ref {
  switch (drafter.kind) {
    case "self":
    case "lookup":
      return drafter;
    case "heads":
      return { ...drafter, path: moved(drafter.path) };
    case "model":
      return drafter.path === "embedded" ? drafter : { ...drafter, path: moved(drafter.path) };
    case "hybrid":
      return { ...drafter, otherwise: withPaths(drafter.otherwise, moved) };
  }
}

const covers = ({ context_tokens: { from, to } }: Segment, context: number): boolean => from <= context && context < to;

/** -1 where none speculates */
function bestSegment(segments: readonly Segment[]): number {
  const saved = segments.map(savedUs);
  const most = Math.max(...saved.flatMap((us) => us ?? []));
  const best = saved.indexOf(most);
  return best === -1 ? segments.findIndex(({ speculate }) => speculate) : best;
}

/**
 * µs that a plan's segment saves over plain decoding, from its first context to its last, one sequence: the mean saving a
 * token at the contexts that predictions are for, times the contexts.
 * @returns null where nothing is predicted
 */
function savedUs({ context_tokens: { from, to }, predicted }: Segment): number | null {
  if (predicted === undefined) return null;
  const inside = (predicted.along ?? []).map((point) => point.context_tokens).filter((at) => at > from && at < to);
  const contexts = [from, ...inside, to];
  const perToken = contexts.map((at) => {
    const { tokens_per_second: speed, speedup } = predictedAt(predicted, at);
    return (1e6 / speed) * (speedup - 1);
  });
  let total = 0;
  for (let i = 1; i < contexts.length; i++)
    total += ((perToken[i - 1] + perToken[i]) / 2) * (contexts[i] - contexts[i - 1]);
  return total;
}

function nothing(path: string, segments: readonly Segment[], context: number | undefined): DraftplanError {
  const speculating = segments
    .filter(({ speculate }) => speculate)
    .map(({ context_tokens: { from, to } }) => `${from} to ${to}`);
  const where = speculating.length === 0 ? "at no context" : `at contexts ${speculating.join(", ")}`;
  return new DraftplanError({
    code: "NOTHING_TO_EXPORT",
    at: context === undefined ? `${path}: segments` : `--context ${context}`,
    what: `the plan speculates ${where}${context === undefined || speculating.length === 0 ? "" : ", and not there"}`,
    remedy:
      speculating.length === 0
        ? "Serve the model as it is: plain decoding is what the plan found fastest."
        : "Name a context within one of these ranges, or leave --context out.",
  });
}
