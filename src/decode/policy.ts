/** A plan as the decoder sees it. */
import { DraftplanError } from "../core/errors.js";
import type { Plan, Segment } from "../schema/plan.js";
import type { Drafter, DraftRequest } from "./drafters/drafter.js";
import type { Heads } from "./drafters/heads.js";
import { DRAFTERS } from "./drafters/index.js";
import { drafterOf } from "./drafters/self.js";
import type { DraftPolicy } from "./loop.js";

/**
 * @param at     where the plan came from, for errors
 * @param onPast called once when a context lies past the last segment: nothing is speculated there
 * @param heads  that are open, for segments that heads draft in; whoever opened them closes them
 * @throws BLOCK_UNKNOWN, DOCUMENT_INVALID, DOCUMENT_MISMATCH where the plan was made for another model, DRAFTER_NOT_OPEN for
 *   heads that are not among the open ones, TREE_INVALID for a tree that they cannot draft
 */
export function planPolicy(
  plan: Plan,
  layers: number,
  at: string,
  onPast: (lastContext: number) => void = () => {},
  heads: readonly Heads[] = [],
): DraftPolicy {
  if (plan.model.layers !== layers)
    throw otherModel(at, `a model of ${plan.model.layers} layers, and this one has ${layers}`);
  const segments = plan.segments.map((segment, i): Planned => {
    const { to } = segment.context_tokens;
    if (!segment.speculate || segment.draft_tokens === undefined) return { to, request: null };
    const drafter = drafterIn(segment, layers, `${at}: segments[${i}]`, heads);
    return { to, request: { drafter, draftTokens: segment.draft_tokens } };
  });
  const drafters = segments.flatMap(({ request }) => (request === null ? [] : [drafterOf(request)]));
  let warned = false;
  const policy = (contextTokens: number) => {
    const segment = segments.find(({ to }) => contextTokens < to);
    if (segment !== undefined) return segment.request;
    if (!warned) onPast(segments[segments.length - 1].to);
    warned = true;
    return null;
  };
  return Object.assign(policy, { drafters: [...new Set(drafters)] });
}

interface Planned {
  /** end of the segment, exclusive */
  to: number;
  request: DraftRequest | null;
}

/** Who drafts in a segment that speculates. */
function drafterIn({ drafter, draft }: Segment, layers: number, at: string, heads: readonly Heads[]): Drafter {
  if (drafter?.kind === "heads") {
    const open = heads.find(({ sha256 }) => sha256 === drafter.sha256);
    if (open === undefined) throw notOpen(`${at}.drafter`);
    return DRAFTERS.heads({ heads: { open, tree: drafter.tree }, at: `${at}.drafter.tree` });
  }
  if (drafter?.kind === "lookup") return DRAFTERS.lookup({ ngramTokens: drafter.ngram_tokens });
  if (drafter?.kind === "model" || drafter?.kind === "hybrid") throw notOpen(`${at}.drafter`);
  if (draft === undefined) throw new Error(`${at} has no draft, which its schema refuses`);
  return DRAFTERS.self({ draft, layers, at: `${at}.draft` });
}

const notOpen = (at: string) =>
  new DraftplanError({
    code: "DRAFTER_NOT_OPEN",
    at,
    what: "heads draft there, and what is asked for runs drafts of the model's own blocks alone",
    remedy:
      "Use generate, verify or check --measure, which open a plan's heads; as a library: openHeads, then planPolicy with them.",
  });

/** @throws DOCUMENT_MISMATCH where architecture or weights differ from what the document was made with */
export function requireSameModel(
  document: { model: { name: string; architecture_sha256: string; weights_sha256: string | null } },
  checkpoint: { spec: { name: string }; architectureSha256: string; weightsSha256: string },
  at: string,
): void {
  const { model } = document;
  if (model.architecture_sha256 !== checkpoint.architectureSha256) {
    throw otherModel(at, `${model.name}, whose architecture differs from that of ${checkpoint.spec.name}`);
  }
  if (model.weights_sha256 !== null && model.weights_sha256 !== checkpoint.weightsSha256) {
    throw otherModel(at, `${model.name} with other weights than those given (${checkpoint.spec.name})`);
  }
}

const otherModel = (at: string, what: string) =>
  new DraftplanError({
    code: "DOCUMENT_MISMATCH",
    at: `${at}: model`,
    what: `it was made for ${what}`,
    remedy: "Give the model it was made for, or make a new one: draftplan run MODEL",
  });
