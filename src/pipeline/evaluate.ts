/** How often a draft's next token is the target's, on a given text. */
import { type Evaluation, evaluateDraft, evaluateStandalone } from "../calibrate/evaluate.js";
import { DraftplanError } from "../core/errors.js";
import { drafterOf, selfChoices } from "../decode/drafters/self.js";
import type { Checkpoint } from "../model/spec.js";
import { type ChoiceSet, expandDraft } from "../schema/choice.js";
import type { Loaded } from "../schema/document.js";
import { refuseSpans } from "../schema/draft-cache.js";
import type { Plan } from "../schema/plan.js";
import { openTokenizer } from "../tokenizer/open.js";
import { planKernels } from "./choices.js";
import { contextFor, type PipelineContext } from "./context.js";
import { policyOf, warnOfTemperature } from "./plan-policy.js";
import { readCalibrationText } from "./text/calibration-text.js";
import { readTokenIds, requireInVocabulary, type TokenIds } from "./text/token-ids.js";
import { withModel } from "./with-model.js";

export interface EvaluateRequest {
  /** what drafts: a plan's drafts, each at its contexts, or the model without these blocks */
  draft: { plan: Loaded<Plan> } | { skip: readonly string[] };
  /** a file of token ids; undefined: a bundled text */
  ids?: string | undefined;
  /** the draft has a cache of its own; a plan that says so has one anyway */
  standalone?: boolean | undefined;
}

export interface EvaluatedDraft extends Evaluation {
  /** the text it was evaluated on */
  source: string;
  /** positions before it are context only */
  first: number;
  /** the draft had a cache of its own */
  standalone: boolean;
}

const BUNDLED_TOKENS = 288;
const BUNDLED_FIRST = 32;

/** @throws TOKEN_IDS_INVALID, CONTEXT_LIMIT, DOCUMENT_MISMATCH, what loading the model throws */
export async function evaluateOn(
  model: string,
  { draft, ids: file, standalone: asked = false }: EvaluateRequest,
  given: PipelineContext,
): Promise<EvaluatedDraft> {
  const context = contextFor(given, "plan" in draft ? draft.plan : null);
  const source = file ?? "bundled text";
  const standalone = asked || ("plan" in draft && draft.plan.document.draft_cache === "own");
  if (standalone && "plan" in draft)
    for (const { draft: one } of draft.plan.document.segments)
      refuseSpans(Object.values(one?.choices ?? {}), `${draft.plan.path}: --standalone`);
  const evaluate = standalone ? evaluateStandalone : evaluateDraft;
  const { ids, first } = file === undefined ? await bundledIds(model) : readTokenIds(file, { withFirst: true });
  const prepare = (checkpoint: Checkpoint) => {
    requireInVocabulary(ids, checkpoint.spec.vocabSize, source);
    requireContext(ids.length, checkpoint, source);
    return { capacity: ids.length, choicesAt: choicesOf(checkpoint, draft, context) };
  };
  const evaluation = await withModel(
    model,
    { ...context, kernels: planKernels(["plan" in draft ? draft.plan.document : null]) },
    prepare,
    ({ engine }, { choicesAt }) => evaluate(engine, ids, first, choicesAt, context.progress),
  );
  return { ...evaluation, source, first, standalone };
}

/** What drafts at each context; the target itself where a plan does not speculate. */
function choicesOf(
  checkpoint: Checkpoint,
  draft: EvaluateRequest["draft"],
  context: PipelineContext,
): (contextTokens: number) => ChoiceSet | null {
  if ("plan" in draft) {
    warnOfTemperature(draft.plan, context.progress);
    const { draft_cache: _, ...document } = draft.plan.document; // the drafts alone are looked at here
    const policy = policyOf({ ...draft.plan, document }, checkpoint, context);
    return (contextTokens) => {
      const request = policy(contextTokens);
      return request === null ? null : selfChoices(drafterOf(request));
    };
  }
  const choices = expandDraft(
    { default: "target", head: "target", skip: [...draft.skip], choices: {} },
    checkpoint.spec.layers,
    "--skip",
  );
  return () => choices;
}

async function bundledIds(model: string): Promise<TokenIds> {
  const tokenizer = await openTokenizer(model);
  const ids = tokenizer
    .encode(readCalibrationText(undefined).report[0].slice(0, 20 * BUNDLED_TOKENS))
    .slice(0, BUNDLED_TOKENS);
  return { ids, first: BUNDLED_FIRST };
}

function requireContext(tokens: number, { spec }: Checkpoint, at: string): void {
  if (tokens <= spec.contextLimit) return;
  throw new DraftplanError({
    code: "CONTEXT_LIMIT",
    at,
    what: `${tokens} tokens; ${spec.name} has a context of ${spec.contextLimit}`,
    remedy: "Give fewer token ids.",
  });
}
