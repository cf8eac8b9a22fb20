/** A plan with the drafter that was asked for in its segments. */
import { DraftplanError } from "../../core/errors.js";
import type { HeadsCheckpoint } from "../../model/heads/spec.js";
import type { Checkpoint } from "../../model/spec.js";
import { modelRef } from "../../runtime/load.js";
import type { Kernel } from "../../schema/choice.js";
import type { Loaded } from "../../schema/document.js";
import {
  type DrafterRef,
  type HeadsDrafterRef,
  MAX_DRAFT_TOKENS,
  MAX_TREE_NODES,
  type ModelDrafterRef,
  mainDrafter,
  type SingleRef,
  siblingsOf,
} from "../../schema/drafter.js";
import type { Plan, Segment } from "../../schema/plan.js";
import type { DraftModelFile } from "./draft-models.js";

/**
 * What drafts where nobody planned it (docs/drafters.md says why these). Text repeats itself in long runs or hardly at all,
 * so a lookup drafts more than a model would, and asks for a few tokens to match before it does.
 */
const DEFAULT_LOOKUP = { ngram_tokens: { min: 3, max: 8 }, draft_tokens: 8 } as const;
/** Beside another drafter, which has something to propose anyway, a longer match is asked for. */
const HYBRID_LOOKUP = { min_match: 4, ...DEFAULT_LOOKUP } as const;
const DEFAULT_MODEL_TOKENS = 4;

/** Kernel of a draft model that no plan has chosen one for: on the CPU int8 takes a third of the time and misses little. */
export const defaultDraftKernel = (provider: string): Kernel => (provider === "cpu" ? "int8" : "target");

export const changedSegments = (plan: Loaded<Plan>, change: (segment: Segment) => Segment): Loaded<Plan> => ({
  ...plan,
  document: { ...plan.document, segments: plan.document.segments.map(change) },
});

export const plainSegment = ({ context_tokens, extrapolated }: Segment): Segment => ({
  context_tokens,
  speculate: false,
  ...(extrapolated === undefined ? {} : { extrapolated }),
});

/** Segments in which others draft become plain ones. @throws OPTION_INVALID where all do */
export function ownBlocksAlone({ document, path }: Loaded<Plan>): (segment: Segment) => Segment {
  if (!document.segments.some(({ draft }) => draft !== undefined)) throw noOwnDraft(path);
  return (segment) => {
    const { drafter, ...rest } = segment;
    if (segment.draft === undefined) return plainSegment(segment);
    if (drafter?.kind !== "hybrid") return segment;
    const siblings = siblingsOf(drafter) === undefined ? {} : { drafter: drafter.otherwise };
    return withoutPrediction({ ...rest, ...siblings });
  };
}

const withoutPrediction = ({ predicted: _, refuted: _refuted, ...segment }: Segment): Segment => segment;

/** The drafter in place of whatever drafted. What was predicted for another is not predicted for this one. */
const replaced = (segment: Segment, drafter: DrafterRef, draftTokens: number): Segment => ({
  ...plainSegment(segment),
  speculate: true,
  drafter,
  draft_tokens: draftTokens,
});

/** Its own tree where it has one of these heads. */
export function headsSegment(segment: Segment, heads: HeadsCheckpoint, folder: string): Segment {
  const { sha256 } = heads;
  const own = ownOf(segment, (main): main is HeadsDrafterRef => main.kind === "heads" && main.sha256 === sha256);
  if (own !== null) return own;
  const tree = defaultTree(heads.spec.heads);
  return replaced(segment, { kind: "heads", path: folder, sha256, tree }, tree.length);
}

/** The segment's own where the model drafts in it already. */
export function modelSegment(segment: Segment, { path, checkpoint }: DraftModelFile, kernel: Kernel): Segment {
  const { weightsSha256: weights_sha256, spec } = checkpoint;
  const own = ownOf(
    segment,
    (main): main is ModelDrafterRef => main.kind === "model" && main.weights_sha256 === weights_sha256,
  );
  if (own !== null) return own;
  return replaced(segment, { kind: "model", name: spec.name, weights_sha256, path, kernel }, DEFAULT_MODEL_TOKENS);
}

/** The segment as it is, or without the lookup beside its drafter; null where another drafts. */
function ownOf(segment: Segment, isAsked: (main: SingleRef) => boolean): Segment | null {
  const main = mainDrafter(segment.drafter);
  if (!segment.speculate || !isAsked(main)) return null;
  return segment.drafter?.kind === "hybrid" ? withoutPrediction({ ...segment, drafter: main }) : segment;
}

export function lookupSegment(segment: Segment): Segment {
  if (segment.drafter?.kind === "lookup") return segment;
  const { ngram_tokens, draft_tokens } = DEFAULT_LOOKUP;
  return replaced(segment, { kind: "lookup", ngram_tokens }, draft_tokens);
}

/** A lookup in front of the segment's own drafter; where it has none, or a lookup, that alone. */
export function hybridSegment(segment: Segment): Segment {
  if (segment.drafter?.kind === "hybrid" || segment.drafter?.kind === "lookup") return segment;
  const otherwise = mainDrafter(segment.drafter);
  if (!segment.speculate || otherwise.kind === "lookup") return lookupSegment(segment);
  return withoutPrediction({ ...segment, drafter: { kind: "hybrid", lookup: HYBRID_LOOKUP, otherwise } });
}

/**
 * What heads draft that nobody planned a tree for: the likeliest token of each, one behind the other. A chain is the
 * cheapest to verify at its depth; wider trees pay where verification is cheap, which `solve` knows by measuring.
 */
const defaultTree = (heads: number): number[][] =>
  Array.from({ length: Math.min(heads, MAX_DRAFT_TOKENS, MAX_TREE_NODES) }, (_, i) => new Array(i + 1).fill(0));

/** A plan for a drafter that none was made for. */
export function planOfOneSegment(checkpoint: Checkpoint, name: string): Loaded<Plan> {
  const { contextLimit } = checkpoint.spec;
  const segments: Segment[] = [{ context_tokens: { from: 0, to: contextLimit }, speculate: false }];
  const document: Plan = { kind: "draftplan/plan", version: 1, model: modelRef(checkpoint), segments };
  return { path: `--drafter ${name}`, sha256: "", document };
}

const noOwnDraft = (at: string) =>
  new DraftplanError({
    code: "OPTION_INVALID",
    at: "--drafter self",
    what: `${at} has no draft of the model's own blocks`,
    remedy: "Leave --drafter out, or make a plan with one: draftplan solve --drafters self",
  });
