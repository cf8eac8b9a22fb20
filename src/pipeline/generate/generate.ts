/** Greedy decoding of one prompt; a plan changes the speed and nothing else. */
import { DraftplanError } from "../../core/errors.js";
import type { AdaptiveSummary } from "../../decode/adaptive/policy.js";
import { type AdaptivePolicy, adaptivePolicy } from "../../decode/adaptive/policy.js";
import { selfChoices } from "../../decode/drafters/self.js";
import { type Decoded, type DraftPolicy, decode } from "../../decode/loop.js";
import { acceptanceOf } from "../../decode/statistics.js";
import type { Checkpoint } from "../../model/spec.js";
import { systemClock } from "../../runtime/device.js";
import type { Engine } from "../../runtime/engine.js";
import type { ChoiceSet } from "../../schema/choice.js";
import type { Loaded } from "../../schema/document.js";
import type { Plan } from "../../schema/plan.js";
import { openTokenizer } from "../../tokenizer/open.js";
import { createTextStream } from "../../tokenizer/stream.js";
import type { Tokenizer } from "../../tokenizer/types.js";
import { planKernels } from "../choices.js";
import type { PipelineContext } from "../context.js";
import {
  type DrafterChoice,
  type Drafting,
  drafterName,
  findDrafting,
  type Planned,
  planDrafting,
  withDrafting,
} from "../drafting.js";
import { readInputs } from "../plan-inputs.js";
import { readTokenIds, requireInVocabulary } from "../text/token-ids.js";
import { withModel } from "../with-model.js";
import { openAdaptation } from "./adaptation.js";

/** What is gone on with. */
export type PromptSource =
  | { kind: "text"; text: string }
  /** what a user says, put into the model's chat template */
  | { kind: "chat"; text: string }
  /** a JSON array of token ids; no tokenizer is needed */
  | { kind: "ids"; file: string };

export interface GenerateRequest {
  prompt: PromptSource;
  /** null: plain decoding */
  plan: Loaded<Plan> | null;
  /** who drafts; null: as the plan says */
  drafter: DrafterChoice | null;
  /** begin with the plan, and change draft and length as the text turns out harder or easier */
  adapt: boolean;
  /** new tokens at most; undefined: 256, or what the context has room for */
  maxTokens?: number | undefined;
}

/** Where text goes as it comes. */
export interface TextSink {
  write(text: string): void;
  /** the last of it, also where decoding is interrupted */
  end(text: string): void;
}

/** What was run of one draft and length. */
export interface AdaptedUse {
  /** null: plain steps */
  drafter: string | null;
  /** of a draft of the model's own blocks; null for any other */
  choices: ChoiceSet | null;
  draftTokens: number;
  /** the plan's own choice there */
  planned: boolean;
  rounds: number;
  tokens: number;
}

export interface AdaptedSummary extends Omit<AdaptiveSummary, "arms"> {
  /** in the order of their first use */
  arms: AdaptedUse[];
}

export interface Generation {
  ids: number[];
  /** null where the prompt was given as ids: no text is read or written then */
  text: string | null;
  promptTokens: number;
  /** time behind the prompt's pass */
  decodeUs: number;
  /** who drafted, as `--drafter` has it */
  drafter: string;
  /** null where the prompt's pass gave all there is */
  tokensPerSecond: number | null;
  /** rounds that drafted; null without a plan, as what follows */
  rounds: number | null;
  drafted: number | null;
  accepted: number | null;
  /** null where the plan was not adapted */
  adapted: AdaptedSummary | null;
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
  planned: Planned;
  /** makes the plan's policy one that adapts; null: the plan as it stands */
  adapt: ((planned: DraftPolicy) => AdaptivePolicy) | null;
}

/** What a prepared generation runs. */
interface Run extends Prepared {
  policy: DraftPolicy | null;
  /** null: the plan as it stands */
  adaptive: AdaptivePolicy | null;
}

/**
 * @param sink null: the text is not wanted before it is whole
 * @throws USAGE, OPTION_INVALID, NOT_YET_SUPPORTED, TOKEN_IDS_INVALID, CONTEXT_LIMIT, DOCUMENT_MISMATCH, HEADS_MISMATCH,
 *   what loading the model and opening heads throw
 */
export async function generateFrom(
  model: string,
  { prompt: source, plan, drafter, adapt, maxTokens }: GenerateRequest,
  sink: TextSink | null,
  context: PipelineContext,
): Promise<Generation> {
  if (adapt) requireAdaptable(plan, drafter);
  const drafting = await findDrafting(plan, drafter, model);
  const prompt = await readPrompt(model, source);
  const kernels = planKernels([plan?.document ?? null], adapt ? plan?.document.choices : []);
  return withModel(
    model,
    { ...context, kernels },
    (checkpoint) => prepare(checkpoint, prompt, { maxTokens, adapt }, drafting, context),
    (loaded, prepared) =>
      withDrafting(drafting, prepared.planned, loaded, context, (policy) => {
        const planned = drafting.choice.kind === "none" ? null : policy;
        const adaptive = planned === null ? null : (prepared.adapt?.(planned) ?? null);
        const run = { ...prepared, adaptive, policy: adaptive?.policy ?? planned };
        return generate(loaded.engine, prompt, run, drafterName(drafting.choice), sink, context);
      }),
  );
}

/** @throws USAGE without a plan to begin with, NOT_YET_SUPPORTED for one that heads draft in */
function requireAdaptable(plan: Loaded<Plan> | null, drafter: DrafterChoice | null): void {
  if (plan === null) throw adaptWithoutPlan();
  if (drafter !== null && drafter.kind !== "plan") throw adaptAnother(drafter);
  const heads = plan.document.segments.findIndex(({ drafter: kind }) => kind?.kind === "heads");
  if (heads !== -1) throw adaptHeads(`${plan.path}: segments[${heads}].drafter`);
}

const adaptAnother = (drafter: DrafterChoice) =>
  new DraftplanError({
    code: "USAGE",
    at: `--adapt --drafter ${drafterName(drafter)}`,
    what: "adapting begins with the plan's own drafts",
    remedy: "Leave one of the two options out.",
  });

const adaptHeads = (at: string) =>
  new DraftplanError({
    code: "NOT_YET_SUPPORTED",
    at,
    what: "heads draft there, and --adapt weighs drafts of the model's own blocks alone",
    remedy: "Leave --adapt out, or solve a plan of the model's own blocks: draftplan solve --drafters self",
  });

const adaptWithoutPlan = () =>
  new DraftplanError({
    code: "USAGE",
    at: "--adapt",
    what: "there is no plan to begin with",
    remedy: "Give --plan PLAN as well, or leave --adapt out.",
  });

async function readPrompt(model: string, source: PromptSource): Promise<Prompt> {
  if (source.kind === "ids") {
    const { ids } = readTokenIds(source.file, { withFirst: false });
    return { ids, tokenizer: null, at: source.file };
  }
  const tokenizer = await openTokenizer(model);
  const { text } = source;
  if (source.kind === "text") return { ids: tokenizer.encode(text), tokenizer, at: "--prompt" };
  const chat = tokenizer.renderChat([{ role: "user", content: text }], { addGenerationPrompt: true });
  return { ids: tokenizer.encodeRendered(chat), tokenizer, at: "--chat" };
}

function prepare(
  checkpoint: Checkpoint,
  prompt: Prompt,
  options: Pick<GenerateRequest, "maxTokens" | "adapt">,
  drafting: Drafting,
  context: PipelineContext,
): Prepared {
  const { spec } = checkpoint;
  requireInVocabulary(prompt.ids, spec.vocabSize, prompt.at);
  const maxTokens = chooseMaxTokens(prompt, spec, options.maxTokens);
  const planned = planDrafting(drafting, checkpoint, context);
  // a tree's rows lie behind the text until its path is moved together: the last rounds keep room for all of them
  const capacity = prompt.ids.length + maxTokens + planned.mostNodes;
  const { plan } = planned;
  return { maxTokens, capacity, planned, adapt: plan === null || !options.adapt ? null : adaptiveOf(plan) };
}

/** @throws INPUTS_MISSING, DIGEST_MISMATCH where the plan's profile and calibration are not at hand */
function adaptiveOf(plan: Loaded<Plan>): (planned: DraftPolicy) => AdaptivePolicy {
  const { profile, calibration } = readInputs(plan);
  const adaptation = openAdaptation(plan.document, profile, calibration, plan.path);
  return (planned) => adaptivePolicy(adaptation, systemClock, planned);
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

async function generate(
  engine: Engine,
  prompt: Prompt,
  { maxTokens, policy, adaptive }: Run,
  drafter: string,
  sink: TextSink | null,
  { progress }: PipelineContext,
): Promise<Generation> {
  const stream = sink === null || prompt.tokenizer === null ? null : createTextStream(prompt.tokenizer);
  let decoded: Decoded;
  try {
    decoded = await decode(engine, prompt.ids, {
      maxTokens,
      endTokens: engine.spec.eosTokenIds,
      policy,
      clock: systemClock,
      progress,
      onTokens: (ids) => {
        if (stream !== null) for (const id of ids) sink?.write(stream.push(id));
      },
    });
  } finally {
    // also when interrupted: the shell's prompt belongs on a line of its own
    if (stream !== null) sink?.end(stream.end());
  }
  return {
    ...summarise(decoded, prompt, policy !== null),
    drafter,
    adapted: adaptive === null ? null : adaptedOf(adaptive.summary()),
  };
}

const adaptedOf = ({ arms, ...summary }: AdaptiveSummary): AdaptedSummary => ({
  ...summary,
  arms: arms.map(({ arm, ...use }) => ({
    drafter: arm?.draft.drafter.key ?? null,
    choices: arm === null ? null : selfChoices(arm.draft.drafter),
    draftTokens: arm?.draftTokens ?? 0,
    ...use,
  })),
});

function summarise(decoded: Decoded, prompt: Prompt, planned: boolean): Omit<Generation, "adapted" | "drafter"> {
  const { ids, rounds, decodeUs } = decoded;
  const { drafted, accepted } = acceptanceOf(rounds);
  return {
    ids,
    text: prompt.tokenizer?.decode(ids) ?? null,
    promptTokens: prompt.ids.length,
    decodeUs,
    // the first token comes from the prompt's pass
    tokensPerSecond: rounds.length === 0 ? null : (1e6 * (ids.length - 1)) / decodeUs,
    rounds: planned ? rounds.filter((round) => round.drafted > 0).length : null,
    drafted: planned ? drafted : null,
    accepted: planned ? accepted : null,
  };
}
