/** A plan as the decoder sees it. */
import { DraftplanError } from "../core/errors.js";
import type { Plan } from "../schema/plan.js";
import type { DraftRequest } from "./drafters/drafter.js";
import { DRAFTERS } from "./drafters/index.js";
import { drafterOf } from "./drafters/self.js";
import type { DraftPolicy } from "./loop.js";

/**
 * @param at     where the plan came from, for errors
 * @param onPast called once when a context lies past the last segment: nothing is speculated there
 * @throws BLOCK_UNKNOWN, DOCUMENT_INVALID, DOCUMENT_MISMATCH where the plan was made for another model
 */
export function planPolicy(
  plan: Plan,
  layers: number,
  at: string,
  onPast: (lastContext: number) => void = () => {},
): DraftPolicy {
  if (plan.model.layers !== layers)
    throw otherModel(at, `a model of ${plan.model.layers} layers, and this one has ${layers}`);
  const segments = plan.segments.map(({ context_tokens, draft, draft_tokens }, i): Planned => {
    const { to } = context_tokens;
    if (draft === undefined || draft_tokens === undefined) return { to, request: null };
    const drafter = DRAFTERS.self({ draft, layers, at: `${at}: segments[${i}].draft` });
    return { to, request: { drafter, draftTokens: draft_tokens } };
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
