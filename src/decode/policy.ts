/** A plan as the decoder sees it. */
import { DraftplanError } from "../core/errors.js";
import type { Draft } from "../schema/choice.js";
import { refuseSpans } from "../schema/draft-cache.js";
import type { Plan, Segment } from "../schema/plan.js";
import type { Drafter, DraftRequest } from "./drafters/drafter.js";
import type { Heads } from "./drafters/heads.js";
import { DRAFTERS } from "./drafters/index.js";
import type { DraftModel } from "./drafters/model.js";
import { drafterOf } from "./drafters/self.js";
import { readsPromptLate, type SecondCache } from "./drafters/standalone.js";
import { stoppingDrafter } from "./drafters/stopping.js";
import type { DraftPolicy } from "./loop.js";

/**
 * @param at     where the plan came from, for errors
 * @param onPast called once when a context lies past the last segment: nothing is speculated there
 * @param open   heads and other models that are open, for segments that they draft in, and a second cache for drafts that have
 *   one of their own; whoever opened them closes them
 * @throws BLOCK_UNKNOWN, DOCUMENT_INVALID, DOCUMENT_MISMATCH where the plan was made for another model, DRAFTER_NOT_OPEN for
 *   heads, a model or a second cache that are not among the open ones, TREE_INVALID for a tree that heads cannot draft
 */
export function planPolicy(
  plan: Plan,
  layers: number,
  at: string,
  onPast: (lastContext: number) => void = () => {},
  open: readonly Opened[] = [],
): DraftPolicy {
  if (plan.model.layers !== layers)
    throw otherModel(at, `a model of ${plan.model.layers} layers, and this one has ${layers}`);
  const known = new Map<string, Drafter>();
  const segments = plan.segments.map((segment, i): Planned => {
    const { to } = segment.context_tokens;
    if (!segment.speculate || segment.draft_tokens === undefined) return { to, request: null };
    const whole = drafterIn(segment, { ...plan, layers, open }, `${at}: segments[${i}]`);
    const made = segment.stop?.rule === "early" ? stoppingDrafter(whole, segment.stop) : whole;
    // segments that draft alike share what the drafter holds
    const drafter = known.get(made.key) ?? made;
    known.set(drafter.key, drafter);
    return { to, request: { drafter, draftTokens: mostDraftTokens(segment, segment.draft_tokens) } };
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
  // a draft with a cache of its own reads the prompt in the round that first asks it: a segment never reached costs nothing,
  // and what the prompt costs once more is in the time of decoding
  const beforehand = drafters.filter((drafter) => !readsPromptLate(drafter));
  return Object.assign(policy, { drafters: [...new Set(beforehand)] });
}

/**
 * What a policy does at the contexts [from, to), by the context that each begins at.
 * @returns `key` equal for requests that draft the same; null: plain decoding
 */
export function draftsBetween(policy: DraftPolicy, from: number, to: number): { at: number; key: string | null }[] {
  const found: { at: number; key: string | null }[] = [];
  for (let n = from; n < to; n++) {
    const request = policy(n);
    const key = request === null ? null : `${request.draftTokens}|${drafterOf(request).key}`;
    if (found.length === 0 || found[found.length - 1].key !== key) found.push({ at: n, key });
  }
  return found;
}

interface Planned {
  /** end of the segment, exclusive */
  to: number;
  request: DraftRequest | null;
}

/** What was opened to draft beside the model's own blocks. */
export type Opened = Heads | DraftModel | SecondCache;

/** Tokens that one round may draft: of a hybrid the lookup or the other drafter may have the longer draft. */
function mostDraftTokens({ drafter, stop }: Pick<Segment, "drafter" | "stop">, draftTokens: number): number {
  if (stop?.rule === "early") return stop.draft_tokens;
  return drafter?.kind === "hybrid" ? Math.max(draftTokens, drafter.lookup.draft_tokens ?? draftTokens) : draftTokens;
}

const isHeads = (one: Opened): one is Heads => one.kind !== "model" && one.kind !== "own cache";

/** The heads of a digest; undefined: they are not open. */
export const headsAmong = (open: readonly Opened[], sha256: string): Heads | undefined =>
  open.find((one): one is Heads => isHeads(one) && one.sha256 === sha256);

/** The model of these weights; undefined: it is not open. */
export const modelAmong = (open: readonly Opened[], weightsSha256: string): DraftModel | undefined =>
  open.find((one): one is DraftModel => one.kind === "model" && one.weightsSha256 === weightsSha256);

/** What is the same in all segments of a plan. */
type Drafting = Pick<Plan, "draft_cache"> & { layers: number; open: readonly Opened[] };

/** Who drafts in a segment that speculates. */
function drafterIn(segment: Segment, plan: Drafting, at: string): Drafter {
  const { layers, open } = plan;
  const { drafter, draft, draft_tokens: draftTokens = 0 } = segment;
  switch (drafter?.kind) {
    case undefined:
    case "self":
      if (draft === undefined) throw new Error(`${at} has no draft, which its schema refuses`);
      return plan.draft_cache === "own"
        ? standaloneIn(draft, plan, `${at}.draft`)
        : DRAFTERS.self({ draft, siblings: drafter?.siblings, layers, at: `${at}.draft` });
    case "lookup":
      return DRAFTERS.lookup({ ngramTokens: drafter.ngram_tokens, branches: drafter.branches });
    case "heads": {
      const heads = headsAmong(open, drafter.sha256);
      if (heads === undefined) throw notOpen(`${at}.drafter`, "heads draft");
      return DRAFTERS.heads({ heads: { open: heads, tree: drafter.tree }, at: `${at}.drafter.tree` });
    }
    case "model": {
      const { weights_sha256, kernel, name } = drafter;
      const model = modelAmong(open, weights_sha256);
      if (model === undefined) throw notOpen(`${at}.drafter`, `${name} drafts`);
      return DRAFTERS.model({ model: { open: model, kernel } });
    }
    case "hybrid": {
      const { min_match: minMatch, ngram_tokens: ngramTokens, branches, draft_tokens } = drafter.lookup;
      const otherwise = drafterIn({ ...segment, drafter: drafter.otherwise }, plan, at);
      const lengths = { lookupTokens: draft_tokens ?? draftTokens, otherwiseTokens: draftTokens };
      return DRAFTERS.hybrid({ ngramTokens, branches, hybrid: { minMatch, ...lengths, otherwise } });
    }
  }
}

function standaloneIn(draft: Draft, { layers, open }: Drafting, at: string): Drafter {
  const second = open.find((one): one is SecondCache => one.kind === "own cache");
  refuseSpans(Object.values(draft.choices), `${at}.choices`);
  if (second === undefined) throw notOpen(at, "drafts have a KV cache of their own");
  return DRAFTERS.standalone({ draft, layers, at, ownCache: second.cache });
}

const notOpen = (at: string, what: string) =>
  new DraftplanError({
    code: "DRAFTER_NOT_OPEN",
    at,
    what: `${what} there, and what is asked for runs drafts of the model's own blocks alone`,
    remedy:
      "Use generate, verify or check --measure, which open a plan's heads, models and second cache; as a library: openHeads or a SecondCache, then planPolicy with it.",
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
