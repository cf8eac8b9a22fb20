/** draftplan generate: greedy decoding of one prompt, streamed; a plan changes the speed and nothing else. */
import { DraftplanError } from "../core/errors.js";
import { type AdaptivePolicy, adaptivePolicy } from "../decode/adaptive/policy.js";
import { type Decoded, type DraftPolicy, decode } from "../decode/loop.js";
import { planPolicy, requireSameModel } from "../decode/policy.js";
import { acceptanceOf } from "../decode/statistics.js";
import type { Checkpoint } from "../model/spec.js";
import { formatPercent } from "../output/format.js";
import { type Adapted, adaptedJson, adaptedLine } from "../output/generation.js";
import { planKernels } from "../pipeline/choices.js";
import { openAdaptation } from "../pipeline/generate/adaptation.js";
import { readInputs } from "../pipeline/plan-inputs.js";
import { warnOfTemperature } from "../pipeline/plan-temperature.js";
import { readTokenIds, requireInVocabulary } from "../pipeline/text/token-ids.js";
import { withModel } from "../pipeline/with-model.js";
import { systemClock } from "../runtime/device.js";
import type { Engine } from "../runtime/engine.js";
import { type Loaded, readDocumentOf } from "../schema/document.js";
import type { Plan } from "../schema/plan.js";
import { openTokenizer } from "../tokenizer/open.js";
import { createTextStream } from "../tokenizer/stream.js";
import type { Tokenizer } from "../tokenizer/types.js";
import type { CommandContext } from "./context.js";

export interface GenerateOptions {
  prompt?: string;
  chat?: string;
  promptIds?: string;
  plan?: string;
  adapt?: true;
  maxTokens?: number;
  temperature?: number;
  seed?: number;
}

const DEFAULT_MAX_TOKENS = 256;

interface Prompt {
  ids: number[];
  /** null where ids were given: no text is read or written then */
  tokenizer: Tokenizer | null;
  /** for errors */
  at: string;
}

interface Prepared {
  capacity: number;
  maxTokens: number;
  policy: DraftPolicy | null;
  /** null: the plan as it stands */
  adaptive: AdaptivePolicy | null;
}

export async function generateCommand(model: string, options: GenerateOptions, context: CommandContext): Promise<void> {
  refuseSampling(options.temperature ?? 0);
  if (options.adapt && options.plan === undefined) throw adaptWithoutPlan();
  const plan = options.plan === undefined ? null : readDocumentOf("draftplan/plan", options.plan);
  const prompt = await readPrompt(model, options);
  const kernels = planKernels([plan?.document ?? null], options.adapt ? plan?.document.choices : []);
  await withModel(
    model,
    { ...context, kernels },
    (checkpoint) => prepare(checkpoint, prompt, options, plan, context),
    ({ engine }, prepared) => generate(engine, prompt, prepared, context),
  );
}

function refuseSampling(temperature: number): void {
  if (temperature === 0) return;
  throw new DraftplanError({
    code: "NOT_YET_SUPPORTED",
    at: "--temperature",
    what: `${temperature} asks for sampling, and only greedy decoding exists so far`,
    remedy: "Leave --temperature out, or give 0.",
  });
}

const adaptWithoutPlan = () =>
  new DraftplanError({
    code: "USAGE",
    at: "--adapt",
    what: "there is no plan to begin with",
    remedy: "Give --plan PLAN as well, or leave --adapt out.",
  });

async function readPrompt(model: string, options: GenerateOptions): Promise<Prompt> {
  if (options.promptIds !== undefined) {
    const { ids } = readTokenIds(options.promptIds, { withFirst: false });
    return { ids, tokenizer: null, at: options.promptIds };
  }
  if (options.prompt === undefined && options.chat === undefined) {
    throw new DraftplanError({
      code: "USAGE",
      at: "draftplan generate",
      what: "there is no prompt",
      remedy: "Give one of --prompt TEXT, --chat TEXT, --prompt-ids FILE.",
    });
  }
  const tokenizer = await openTokenizer(model);
  if (options.prompt !== undefined) return { ids: tokenizer.encode(options.prompt), tokenizer, at: "--prompt" };
  const chat = tokenizer.renderChat([{ role: "user", content: options.chat as string }], { addGenerationPrompt: true });
  return { ids: tokenizer.encodeRendered(chat), tokenizer, at: "--chat" };
}

function prepare(
  checkpoint: Checkpoint,
  prompt: Prompt,
  options: GenerateOptions,
  plan: Loaded<Plan> | null,
  context: CommandContext,
): Prepared {
  const { spec } = checkpoint;
  requireInVocabulary(prompt.ids, spec.vocabSize, prompt.at);
  const maxTokens = chooseMaxTokens(prompt, spec, options.maxTokens);
  const planned = plan === null ? null : policyOf(plan, checkpoint, context);
  const adaptive = plan === null || planned === null || !options.adapt ? null : adaptiveOf(plan, planned);
  return { maxTokens, capacity: prompt.ids.length + maxTokens, policy: adaptive?.policy ?? planned, adaptive };
}

/** @throws DOCUMENT_MISMATCH where the plan was made for another model */
export function policyOf(plan: Loaded<Plan>, checkpoint: Checkpoint, context: CommandContext): DraftPolicy {
  requireSameModel(plan.document, checkpoint, plan.path);
  warnOfTemperature(plan, context.progress);
  return planPolicy(plan.document, checkpoint.spec.layers, plan.path, (end) =>
    context.progress.warn(
      "PAST_LAST_SEGMENT",
      `${plan.path} covers contexts up to ${end} tokens; nothing is drafted past them`,
    ),
  );
}

/** @throws INPUTS_MISSING, DIGEST_MISMATCH where the plan's profile and calibration are not at hand */
export function adaptiveOf(plan: Loaded<Plan>, planned: DraftPolicy): AdaptivePolicy {
  const { profile, calibration } = readInputs(plan);
  return adaptivePolicy(openAdaptation(plan.document, profile, calibration, plan.path), systemClock, planned);
}

/** What was asked for must fit; the default takes what room there is. */
function chooseMaxTokens(prompt: Prompt, spec: Checkpoint["spec"], asked: number | undefined): number {
  const room = spec.contextLimit - prompt.ids.length;
  const maxTokens = asked ?? Math.min(DEFAULT_MAX_TOKENS, Math.max(1, room));
  if (maxTokens <= room) return maxTokens;
  throw new DraftplanError({
    code: "CONTEXT_LIMIT",
    at: prompt.at,
    what: `${prompt.ids.length} tokens and ${maxTokens} new ones need a context of ${prompt.ids.length + maxTokens}; ${spec.name} has ${spec.contextLimit}`,
    remedy: room > 0 ? `Shorten the prompt, or use --max-tokens ${room} or less.` : "Shorten the prompt.",
  });
}

async function generate(engine: Engine, prompt: Prompt, prepared: Prepared, context: CommandContext): Promise<void> {
  const { maxTokens, policy, adaptive } = prepared;
  const stream = context.json || prompt.tokenizer === null ? null : createTextStream(prompt.tokenizer);
  let decoded: Decoded;
  try {
    decoded = await decode(engine, prompt.ids, {
      maxTokens,
      endTokens: engine.spec.eosTokenIds,
      policy,
      clock: systemClock,
      progress: context.progress,
      onTokens: (ids) => {
        if (stream !== null) for (const id of ids) context.write(stream.push(id));
      },
    });
  } finally {
    // also when interrupted: the shell's prompt belongs on a line of its own
    if (stream !== null) context.print(stream.end());
  }
  const result: Generated = {
    ...summarise(decoded, prompt, policy !== null),
    adapted: adaptive === null ? null : adaptedJson(adaptive.summary()),
  };
  if (context.json) context.print(JSON.stringify(result));
  else {
    if (prompt.tokenizer === null) context.print(JSON.stringify(result.ids));
    context.note(statisticsLine(result));
    if (adaptive !== null) context.note(adaptedLine(adaptive.summary(), decoded.decodeUs));
  }
}

/** The contract's keys: each always there, null where it has no meaning. */
interface Generated {
  ids: number[];
  text: string | null;
  prompt_tokens: number;
  tokens_per_second: number | null;
  rounds: number | null;
  drafted: number | null;
  accepted: number | null;
  /** null where the plan was not adapted */
  adapted: Adapted | null;
}

function summarise(decoded: Decoded, prompt: Prompt, planned: boolean): Omit<Generated, "adapted"> {
  const { ids, rounds, decodeUs } = decoded;
  const { drafted, accepted } = acceptanceOf(rounds);
  return {
    ids,
    text: prompt.tokenizer?.decode(ids) ?? null,
    prompt_tokens: prompt.ids.length,
    // the first token comes from the prompt's pass
    tokens_per_second: rounds.length === 0 ? null : (1e6 * (ids.length - 1)) / decodeUs,
    rounds: planned ? rounds.filter((round) => round.drafted > 0).length : null,
    drafted: planned ? drafted : null,
    accepted: planned ? accepted : null,
  };
}

function statisticsLine({ ids, prompt_tokens, tokens_per_second, rounds, drafted, accepted }: Generated): string {
  const speed = tokens_per_second === null ? "" : `, ${tokens_per_second.toFixed(1)} tokens/s`;
  const share = drafted === null || accepted === null || drafted === 0 ? "" : ` (${formatPercent(accepted / drafted)})`;
  const plan = drafted === null ? "" : `, ${rounds} rounds: ${accepted} of ${drafted} drafted tokens accepted${share}`;
  return `${prompt_tokens} prompt tokens, ${ids.length} new${speed}${plan}`;
}
