/** How often a draft's next token is the target's, on a given text. */
import { type Evaluation, evaluateDraft, evaluateStandalone } from "../calibrate/evaluate.js";
import { DraftplanError } from "../core/errors.js";
import { drafterOf, selfChoices } from "../decode/drafters/self.js";
import { requireSameModel } from "../decode/policy.js";
import { asDraftKernel, type SimulatedKernel } from "../model/kernels/registry.js";
import type { Checkpoint, ModelSpec } from "../model/spec.js";
import { type ChoiceSet, expandDraft, uniformChoices } from "../schema/choice.js";
import type { Loaded } from "../schema/document.js";
import { refuseSpans } from "../schema/draft-cache.js";
import { withoutSiblings } from "../schema/drafter.js";
import type { Plan, Segment } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import { openTokenizer } from "../tokenizer/open.js";
import { planLoading } from "./choices.js";
import { contextFor, type PipelineContext } from "./context.js";
import { policyOf, warnOfTemperature } from "./plan-policy.js";
import { type Operations, operationsOf, type PaysBelow, paysBelow } from "./simulation/cost.js";
import { readCalibrationText } from "./text/calibration-text.js";
import { decidingText } from "./text/fit-text.js";
import { readTokenIds, requireInVocabulary, type TokenIds } from "./text/token-ids.js";
import { withModel } from "./with-model.js";

export interface EvaluateRequest {
  /** what drafts: a plan's drafts, each at its contexts, the model without these blocks, or all of it in a simulated kernel */
  draft: { plan: Loaded<Plan> } | { skip: readonly string[] } | { simulate: SimulatedKernel };
  /** of this model: by its times, what a simulated draft may cost */
  profile?: Loaded<Profile> | undefined;
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
  /** where a kernel was simulated */
  simulated?: SimulatedDraft;
}

/** JSON keys */
export interface SimulatedDraft {
  kernel: SimulatedKernel;
  operations: Operations;
  /** by profiled context; left out: no profile was given */
  pays_below?: PaysBelow[];
}

const BUNDLED_TOKENS = 288;
const BUNDLED_FIRST = 32;

/** @throws TOKEN_IDS_INVALID, CONTEXT_LIMIT, DOCUMENT_MISMATCH, what loading the model throws */
export async function evaluateOn(
  model: string,
  { draft, ids: file, standalone: asked = false, profile }: EvaluateRequest,
  given: PipelineContext,
): Promise<EvaluatedDraft> {
  const context = contextFor(given, "plan" in draft ? draft.plan : null, profile ?? null);
  if ("simulate" in draft) requireCpu(draft.simulate, context);
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
    if (profile !== undefined) requireSameModel(profile.document, checkpoint, profile.path);
    return { capacity: ids.length, choicesAt: choicesOf(checkpoint, draft, context) };
  };
  const loaded =
    "simulate" in draft
      ? { kernels: ["target", asDraftKernel(draft.simulate)] as const, learnFrom: decidingText(model) }
      : planLoading(["plan" in draft ? draft.plan.document : null]);
  return withModel(model, { ...context, ...loaded }, prepare, async ({ engine }, { choicesAt }) => {
    const evaluation = await evaluate(engine, ids, first, choicesAt, context.progress);
    const evaluated = { ...evaluation, source, first, standalone };
    if (!("simulate" in draft)) return evaluated;
    return { ...evaluated, simulated: simulatedDraft(draft.simulate, engine.spec, evaluation, profile) };
  });
}

function simulatedDraft(
  kernel: SimulatedKernel,
  spec: ModelSpec,
  { acceptance }: Evaluation,
  profile: Loaded<Profile> | undefined,
): SimulatedDraft {
  const operations = operationsOf(spec);
  if (profile === undefined) return { kernel, operations };
  const { document, path } = profile;
  return { kernel, operations, pays_below: paysBelow(document, path, spec.layers, acceptance, operations) };
}

/** @throws OPTION_INVALID */
function requireCpu(kernel: SimulatedKernel, { provider }: Pick<PipelineContext, "provider">): void {
  if (provider === "cpu") return;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `--simulate ${kernel} on ${provider}`,
    what: "kernels are simulated in the CPU's numbers",
    remedy: "Use --provider cpu: acceptance does not depend on where it is counted.",
  });
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
    const segments = document.segments.map(blocksAlone);
    const policy = policyOf({ ...draft.plan, document: { ...document, segments } }, checkpoint, context);
    return (contextTokens) => {
      const request = policy(contextTokens);
      return request === null ? null : selfChoices(drafterOf(request));
    };
  }
  if ("simulate" in draft) {
    const choices = uniformChoices(checkpoint.spec.layers, asDraftKernel(draft.simulate));
    return () => choices;
  }
  const choices = expandDraft(
    { default: "target", head: "target", skip: [...draft.skip], choices: {} },
    checkpoint.spec.layers,
    "--skip",
  );
  return () => choices;
}

/** What drafts, without what it verifies beside its chain and without where that ends. */
const blocksAlone = ({ stop: _, drafter, ...segment }: Segment): Segment => ({
  ...segment,
  ...(drafter === undefined ? {} : { drafter: withoutSiblings(drafter) }),
});

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
