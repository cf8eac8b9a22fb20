/** draftplan evaluate: how often a draft's next token is the target's, on a given text. */
import { evaluateDraft } from "../calibrate/evaluate.js";
import { DraftplanError } from "../core/errors.js";
import { drafterOf, selfChoices } from "../decode/drafters/self.js";
import type { Checkpoint } from "../model/spec.js";
import { formatPercent } from "../output/format.js";
import { planKernels } from "../pipeline/choices.js";
import { policyOf } from "../pipeline/plan-policy.js";
import { readCalibrationText } from "../pipeline/text/calibration-text.js";
import { readTokenIds, requireInVocabulary, type TokenIds } from "../pipeline/text/token-ids.js";
import { withModel } from "../pipeline/with-model.js";
import { type ChoiceSet, expandDraft } from "../schema/choice.js";
import { type Loaded, readDocumentOf } from "../schema/document.js";
import type { Plan } from "../schema/plan.js";
import { openTokenizer } from "../tokenizer/open.js";
import type { CommandContext } from "./context.js";

export interface EvaluateOptions {
  skip?: string[];
  plan?: string;
  ids?: string;
}

const BUNDLED_TOKENS = 288;
const BUNDLED_FIRST = 32;

export async function evaluateCommand(model: string, options: EvaluateOptions, context: CommandContext): Promise<void> {
  const plan = options.plan === undefined ? null : readDocumentOf("draftplan/plan", options.plan);
  requireDraft(options);
  const at = options.ids ?? "bundled text";
  const { ids, first } =
    options.ids === undefined ? await bundledIds(model) : readTokenIds(options.ids, { withFirst: true });
  const prepare = (checkpoint: Checkpoint) => {
    requireInVocabulary(ids, checkpoint.spec.vocabSize, at);
    requireContext(ids.length, checkpoint, at);
    return { capacity: ids.length, choicesAt: draftOf(checkpoint, plan, options.skip ?? [], context) };
  };
  const evaluation = await withModel(
    model,
    { ...context, kernels: planKernels([plan?.document ?? null]) },
    prepare,
    ({ engine }, { choicesAt }) => evaluateDraft(engine, ids, first, choicesAt, context.progress),
  );
  const { positions, acceptance, meanCosine, targetTop1, draftTop1 } = evaluation;
  if (context.json) {
    context.print(
      JSON.stringify({
        positions,
        acceptance,
        mean_cosine: meanCosine,
        target_top1: targetTop1,
        draft_top1: draftTop1,
      }),
    );
    return;
  }
  const error = Math.sqrt((acceptance * (1 - acceptance)) / positions);
  context.print(`positions    ${positions} (${at}, each after at least ${first} tokens of context)`);
  context.print(
    `acceptance   ${formatPercent(acceptance)} ± ${formatPercent(error)}: the draft's most likely token is the target's`,
  );
  context.print(`mean cosine  ${meanCosine.toFixed(4)} between the last residual states of draft and target`);
}

function requireDraft(options: EvaluateOptions): void {
  if (options.plan !== undefined || options.skip !== undefined) return;
  throw new DraftplanError({
    code: "USAGE",
    at: "draftplan evaluate",
    what: "there is no draft to evaluate",
    remedy: "Give one of --skip 5.attn,3.mlp or --plan PLAN.",
  });
}

/** What drafts at each context; the target itself where a plan does not speculate. */
function draftOf(
  checkpoint: Checkpoint,
  plan: Loaded<Plan> | null,
  skip: string[],
  context: CommandContext,
): (contextTokens: number) => ChoiceSet | null {
  if (plan !== null) {
    const policy = policyOf(plan, checkpoint, context);
    return (contextTokens) => {
      const request = policy(contextTokens);
      return request === null ? null : selfChoices(drafterOf(request));
    };
  }
  const choices = expandDraft(
    { default: "target", head: "target", skip, choices: {} },
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
