/** All lossless ways on this device, targets times drafters, side by side; and what each target loses against the reference. */
import { basename } from "node:path";
import { qualityOf, type ScoredWindow, scoreWindows } from "../../calibrate/quality.js";
import { makePrompts } from "../../calibrate/windows.js";
import { holdDocument } from "../../core/document-lock.js";
import { DraftplanError } from "../../core/errors.js";
import { openCheckpoint } from "../../model/open.js";
import type { ModelSpec } from "../../model/spec.js";
import { systemClock } from "../../runtime/device.js";
import { type LoadedModel, modelRef } from "../../runtime/load.js";
import { writeDocument } from "../../schema/document.js";
import type { Plan } from "../../schema/plan.js";
import type { ComparedTarget, ComparedWay, TargetComparison } from "../../schema/targets/document.js";
import { LEAST_UNITS } from "../../stats/interval.js";
import { openTokenizer } from "../../tokenizer/open.js";
import type { Tokenizer } from "../../tokenizer/types.js";
import {
  type PromptPolicyRuns,
  policyFigures,
  promptsDigest,
  TimeTaken,
  type VerifyPrompt,
  waysByTurns,
} from "../../verify/index.js";
import { openInputs, roomFor, type TakePart } from "../compare/inputs.js";
import { type CompareRequest, compareRequest } from "../compare/options.js";
import { heldBackPrompts, type PromptsAt, promptsByContext } from "../compare/prompts.js";
import type { PipelineContext } from "../context.js";
import { deviceOf } from "../device.js";
import { FinishedParts } from "../interrupted/finished-parts.js";
import { defaultPath } from "../paths.js";
import { type CalibrationText, defaultContexts, textCodec } from "../text/calibration-text.js";
import { readPrompts } from "../text/prompts.js";
import { requireInVocabulary } from "../text/token-ids.js";
import { rounded, softwareVersions } from "../verify/document.js";
import { type OpenTarget, type OpenWay, withWays } from "./open-ways.js";
import { type CompareTargetsOptions, waysRequest } from "./options.js";
import { taskOf } from "./task.js";

/** Windows that perplexity and agreement rest on: some 4,000 positions, of every kind of text as many. */
const QUALITY = { windows: 16, tokens: 256 };

/**
 * Gone on with where the same comparison was interrupted.
 * @param output where the document is written; undefined: the default place; -: it is not written
 * @throws USAGE, OPTION_INVALID, CONTEXT_LIMIT, TEXT_TOO_SHORT, what loading and measuring throw
 */
export async function compareTargets(
  model: string,
  options: CompareTargetsOptions,
  output: string | undefined,
  given: PipelineContext,
): Promise<{ comparison: TargetComparison; output: string }> {
  const ways = waysRequest(options, model, given);
  const context = { ...given, targetPrecision: undefined };
  const { text, prompts: file, context: lengths, maxTokens, pairs, time, refine } = options;
  const asked = { methods: ["knapsack"], text, prompts: file, context: lengths, maxTokens, pairs, time, refine };
  const request = compareRequest(asked, model, context);
  const tokenizer = await openTokenizer(model);
  const own =
    request.promptsFile === null
      ? null
      : await readPrompts(request.promptsFile, async () => tokenizer, context.progress.warn);
  const checkpoint = await openCheckpoint(model);
  checkpoint.close();
  const { spec } = checkpoint;
  for (const { ids, name } of own ?? []) requireInVocabulary(ids, spec.vocabSize, `${request.promptsFile}: '${name}'`);
  const contexts = request.contexts ?? defaultContexts(spec);
  const reached = [...contexts, ...(own ?? []).map(({ ids }) => ids.length)];
  const tokens = Math.max(roomFor(reached, request.maxTokens), QUALITY.tokens);
  requireRoom(spec, tokens, Math.max(...reached));
  const prompts = promptsOf(own, request, tokenizer, contexts);
  const place = output ?? defaultPath("comparison", `${spec.name}-targets`);
  const release = holdDocument(place, "compare");
  try {
    const task = await taskOf(
      { request, tokenizer, contexts, prompts, ways, model: modelRef(checkpoint) },
      model,
      context,
    );
    const parts = new FinishedParts(place, task, context, options);
    const planOf = (loaded: LoadedModel, on: PipelineContext) =>
      parts.take(`plan for ${on.targetPrecision}`, () => ownPlan(loaded, model, options, contexts, parts.take, on));
    const comparison = await parts.through(context, () =>
      withWays({ ...ways, model, context, tokens, planOf }, async (targets, open) => {
        const windows = qualityWindows(request.text, tokenizer, spec);
        const measured = await parts.take("quality", () => measureQuality(targets, windows, context));
        const ran = await runWays(open, prompts, request, parts, context);
        return documentOf({ request, tokenizer, prompts, windows, measured, ran, targets, context });
      }),
    );
    if (place !== "-") writeDocument(place, comparison);
    parts.discard();
    return { comparison, output: place };
  } finally {
    release();
  }
}

function requireRoom({ name, contextLimit }: ModelSpec, tokens: number, longest: number): void {
  if (tokens <= contextLimit) return;
  throw new DraftplanError({
    code: "CONTEXT_LIMIT",
    at: `context ${longest}`,
    what: `with what is measured behind it, it needs ${tokens} tokens; ${name} has room for ${contextLimit}`,
    remedy: `Use contexts up to ${contextLimit - (tokens - longest)}: --context`,
  });
}

const promptsOf = (
  own: readonly VerifyPrompt[] | null,
  { text }: CompareRequest,
  tokenizer: Tokenizer,
  contexts: readonly number[],
): PromptsAt[] =>
  own === null ? heldBackPrompts(text, tokenizer, contexts, { prompts: [] }) : promptsByContext(own, contexts);

/** The knapsack's plan of a target's own blocks: profiled and calibrated here and now, as `compare` does without documents. */
async function ownPlan(
  loaded: LoadedModel,
  model: string,
  { text, maxTokens, refine }: CompareTargetsOptions,
  contexts: readonly number[],
  take: TakePart,
  context: PipelineContext,
): Promise<Plan> {
  context.note(`planning for a target in ${context.targetPrecision}`);
  const options = { methods: ["knapsack"], text, maxTokens, refine, context: contexts.join(",") };
  const request = compareRequest(options, model, context);
  const {
    profile,
    calibration,
    text: measured,
  } = await openInputs(loaded, request, contexts, context, (part, make) =>
    take(`${part} for ${context.targetPrecision}`, make),
  );
  const [knapsack] = request.methods;
  const measuring = { model: loaded, profile, variants: [request.choices], text: measured, progress: context.progress };
  const { choices, refineSeconds } = request;
  return (await knapsack.solve({ measuring, calibration, choices, refineSeconds })).plan;
}

/** Plain text and no chats, of the part that no draft is chosen on. */
function qualityWindows(text: CalibrationText, tokenizer: Tokenizer, { contextLimit }: ModelSpec): number[][] {
  const codec = { ...textCodec(tokenizer), chat: null };
  const windows = makePrompts(text.report, codec, Math.min(QUALITY.tokens, contextLimit), QUALITY.windows);
  if (windows.length > 0) return windows;
  throw new DraftplanError({
    code: "TEXT_TOO_SHORT",
    at: text.source,
    what: `the half of the text that is held back does not fill a window of ${QUALITY.tokens} tokens`,
    remedy: "Give more text with --text FILE...",
  });
}

async function measureQuality(
  targets: readonly OpenTarget[],
  windows: readonly (readonly number[])[],
  { progress }: PipelineContext,
): Promise<ComparedTarget[]> {
  const scored: ScoredWindow[][] = [];
  for (const { loaded } of targets) scored.push(await scoreWindows(loaded.engine, windows, progress));
  return targets.map(({ target, weightBytes, requantised }, i) => {
    const { perplexity, perplexityRatio, agreement } = qualityOf(scored[i], scored[0]);
    return {
      ...{ target, weight_bytes: weightBytes },
      ...(requantised === null ? {} : { requantised }),
      ...{ perplexity, perplexity_ratio: perplexityRatio, agreement },
    };
  });
}

interface RanAt {
  contextTokens: number;
  turns: PromptPolicyRuns[];
  ways: ComparedWay[];
}

async function runWays(
  ways: readonly OpenWay[],
  prompts: readonly PromptsAt[],
  { maxTokens, pairs, timeLimitSeconds }: CompareRequest,
  parts: FinishedParts,
  { progress }: PipelineContext,
): Promise<RanAt[]> {
  const time = new TimeTaken(systemClock);
  const endTokens = ways[0].loaded.spec.eosTokenIds;
  const open = ways.map(({ loaded, policy }) => ({ engine: loaded.engine, policy }));
  const ran: RanAt[] = [];
  for (const [i, { contextTokens, prompts: own }] of prompts.entries()) {
    // contexts share the time
    const untilUs = timeLimitSeconds === null ? null : time.at((1e6 * timeLimitSeconds * (i + 1)) / prompts.length);
    const turns = await time.of(
      (make) => parts.take(`context ${contextTokens}`, make),
      () =>
        waysByTurns({ clock: systemClock, ways: open, prompts: own, maxTokens, endTokens, pairs, untilUs, progress }),
    );
    if (turns.length > 0) ran.push({ contextTokens, turns, ways: figuresOf(ways, turns, contextTokens, maxTokens) });
    if (turns.length < LEAST_UNITS)
      progress.warn(
        "FEW_PROMPTS",
        `at context ${contextTokens} ${turns.length} of ${own.length} prompts could be timed, and an interval takes ${LEAST_UNITS}`,
      );
  }
  if (ran.length > 0) return ran;
  throw new DraftplanError({
    code: "TEXT_TOO_SHORT",
    at: "prompts",
    what: "no prompt was answered by more than one token by every target",
    remedy: "Give prompts that the model goes on from: --prompts FILE",
  });
}

function figuresOf(
  ways: readonly OpenWay[],
  turns: readonly PromptPolicyRuns[],
  contextTokens: number,
  maxTokens: number,
): ComparedWay[] {
  const over = (plain: number) => policyFigures(turns, { plain, baseline: plain });
  const figures = over(0);
  const own = new Map(
    ways.flatMap(({ target, drafter }, i) => (drafter === "none" ? [[target, over(i)] as const] : [])),
  );
  return ways.map(({ target, drafter, drafts }, i) => {
    const { acceptance, tokensPerSecond, speedup, lossless, ties, usPerToken } = figures[i];
    return {
      ...{ target, drafter, drafts: drafts(contextTokens + (maxTokens >> 1)), acceptance },
      ...{ tokens_per_second: tokensPerSecond, speedup },
      own_speedup: (own.get(target) ?? figures)[i].speedup,
      ...{ lossless, ties, us_per_token: usPerToken },
    };
  });
}

interface Made {
  request: CompareRequest;
  tokenizer: Tokenizer;
  prompts: readonly PromptsAt[];
  windows: readonly (readonly number[])[];
  measured: ComparedTarget[];
  ran: readonly RanAt[];
  targets: readonly OpenTarget[];
  context: PipelineContext;
}

function documentOf({ request, tokenizer, prompts, windows, measured, ran, targets, context }: Made): TargetComparison {
  const { text, promptsFile, maxTokens, pairs, timeLimitSeconds } = request;
  const source = promptsFile === null ? `${text.source}, the part held back` : basename(promptsFile);
  return rounded<TargetComparison>({
    ...{ kind: "draftplan/targets", version: 1, model: targets[0].loaded.ref },
    device: deviceOf(context, targets[0].loaded.engine),
    text: { source: text.source, sha256: text.sha256 },
    prompts: { source: source.slice(0, 400), sha256: promptsDigest(prompts.flatMap((at) => at.prompts)) },
    ...{ tokenizer_sha256: tokenizer.sha256, versions: softwareVersions(), created: new Date().toISOString() },
    ...{ max_tokens: maxTokens, pairs, time_limit_seconds: timeLimitSeconds },
    quality_windows: windows.length,
    quality_tokens: windows.reduce((sum, { length }) => sum + length - 1, 0),
    targets: measured,
    contexts: ran.map(({ contextTokens, turns, ways }) => ({
      context_tokens: contextTokens,
      prompts: turns.map(({ prompt }) => ({ prompt: prompt.name, prompt_tokens: prompt.ids.length })),
      ways,
    })),
    lossless: ran.every(({ ways }) => ways.every(({ lossless }) => lossless)),
  });
}
