/** What `--choices` means, and which kernels a command has to load. */

import { DraftplanError } from "../core/errors.js";
import { cacheBytesPerToken, matrixBytes } from "../model/needs.js";
import type { ModelSpec } from "../model/spec.js";
import type { Engine } from "../runtime/engine.js";
import type { ShortHeadsRequest } from "../runtime/short-heads/open.js";
import type { Calibration } from "../schema/calibration.js";
import {
  CHOICES,
  type Choice,
  choiceFault,
  type DraftChoice,
  defaultKernels,
  draftChoices,
  GREATEST_SPAN,
  isChoice,
  isShort,
  isSpanned,
  type Kernel,
  kernelOf,
  kernelsFor,
  LEAST_SPAN,
  ofTarget,
  orderedChoices,
  QUANTISED_KERNELS,
  type ShortKernel,
  type SpannedKernel,
  shortened,
  shortHeads,
  spanned,
  tokensRead,
  usualKernels,
} from "../schema/choice.js";
import type { TargetPrecision } from "../schema/numerics.js";
import type { Plan } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import { clamp } from "../stats/numbers.js";
import { type PipelineContext, precisionOf } from "./context.js";

export type { DraftChoice };

/** @throws OPTION_INVALID for a name that is no choice, and for a span of too few or too many tokens */
export function parseChoices(names: readonly string[]): DraftChoice[] {
  for (const name of names) {
    const fault = name === "target" ? "target" : choiceFault(name);
    if (fault === null) continue;
    throw new DraftplanError({
      code: "OPTION_INVALID",
      at: `--choices ${names.join(",")}`,
      what: /[@:]/.test(name) ? fault : `'${name.slice(0, 40)}' is not something a draft can do with a block`,
      remedy: `Use any of: ${draftChoices(CHOICES).join(",")} (target is always there), a kernel with a span of ${LEAST_SPAN} to ${GREATEST_SPAN} tokens for attention, such as int8@512, or one with a number of tokens for a short head, such as int8:8192.`,
    });
  }
  return draftChoices(names);
}

/**
 * The kernels that these plans run, target first.
 * @param plans null stands for plain decoding
 * @param also  what is run beside the drafts that they name
 */
export function planKernels(plans: readonly (Plan | null)[], also: readonly string[] = []): Kernel[] {
  const drafts = plans.flatMap((plan) => plan?.segments ?? []).flatMap(({ draft }) => draft ?? []);
  const beside = also.filter(isChoice);
  return kernelsFor([
    ...beside,
    // a short head has a copy of its own rows
    ...drafts.flatMap((draft) => [
      draft.default,
      ...(isShort(draft.head) ? [] : [draft.head]),
      ...Object.values(draft.choices),
    ]),
  ]);
}

/**
 * Short heads that these plans run, and what they are over; undefined: none.
 * @param plans null stands for plain decoding
 * @param also  what is run beside the drafts that they name
 * @throws DOCUMENT_MISMATCH for plans whose short heads are over other tokens than each other's
 */
export function planShortHeads(
  plans: readonly (Plan | null)[],
  also: readonly string[] = [],
): ShortHeadsRequest | undefined {
  const beside = also.filter(isChoice);
  const headsOf = ({ segments }: Plan) =>
    shortHeads([...beside, ...segments.flatMap(({ draft }) => draft?.head ?? [])]);
  const drafting = plans.filter((plan) => plan !== null).filter((plan) => headsOf(plan).length > 0);
  const [ranking, ...others] = drafting.flatMap((plan) => plan.ranking ?? []);
  if (ranking === undefined) return undefined;
  if (others.every(({ first }) => first === ranking.first))
    return { heads: shortHeads(drafting.flatMap(headsOf)), ranking };
  throw new DraftplanError({
    code: "DOCUMENT_MISMATCH",
    at: "ranking",
    what: "the plans have short heads over different tokens, and one model is open with one ranking",
    remedy: "Compare plans that were solved from one calibration.",
  });
}

/** All that these plans have a model loaded with. @throws DOCUMENT_MISMATCH */
export const planLoading = (plans: readonly (Plan | null)[], also: readonly string[] = []) => ({
  kernels: planKernels(plans, also),
  shortHeads: planShortHeads(plans, also),
});

/**
 * Target and the kernels of `--choices`. The one that the target is computed with is no choice beside it, and is left out
 * with a word.
 * @throws OPTION_INVALID
 */
export function measuredKernels(
  choices: readonly string[] | undefined,
  context: Pick<PipelineContext, "provider" | "targetPrecision" | "note">,
): Kernel[] {
  const precision = precisionOf(context);
  if (choices === undefined) return defaultKernels(precision);
  return kernelsFor(besideTarget(parseChoices(choices), precision, context));
}

/**
 * Kernels that models are measured in which may draft for a target, whose own kernel is a choice of theirs: a model in int8
 * may draft for a target in int8.
 */
export const draftModelKernels = (kernels: readonly Kernel[], context: Parameters<typeof precisionOf>[0]): Kernel[] =>
  kernelsFor([...kernels, ...QUANTISED_KERNELS.filter((kernel) => kernel === precisionOf(context))]);

/** Spans of `--choices`; undefined where no choices are named: then the contexts decide (usualSpans). @throws OPTION_INVALID */
export const measuredSpans = (
  choices: readonly string[] | undefined,
  context: Pick<PipelineContext, "provider" | "targetPrecision" | "note">,
): SpannedKernel[] | undefined =>
  choices === undefined
    ? undefined
    : besideTarget(parseChoices(choices), precisionOf(context), { note: () => {} }).filter(isSpanned);

/** Short heads of `--choices`; undefined where no choices are named (usualShortHeads). @throws OPTION_INVALID */
export const measuredShortHeads = (
  choices: readonly string[] | undefined,
  context: Pick<PipelineContext, "provider" | "targetPrecision" | "note">,
): ShortKernel[] | undefined =>
  choices === undefined
    ? undefined
    : shortHeads(besideTarget(parseChoices(choices), precisionOf(context), { note: () => {} }));

/** Tokens of short heads that are tried where nobody names any, and of how large a vocabulary one has to be a part. */
const USUAL_SHORT = [16_384, 8192];
const LEAST_PARTS = 3;

/** What is measured where no choices are named: none on a device, where no short head has been timed yet. */
export function usualShortHeads(
  { spec, engine }: { spec: Pick<ModelSpec, "vocabSize">; engine: Pick<Engine, "kernels"> },
  { provider }: Pick<PipelineContext, "provider">,
): ShortKernel[] {
  if (provider !== "cpu") return [];
  const kernel = engine.kernels[1] ?? "target";
  return USUAL_SHORT.filter((tokens) => LEAST_PARTS * tokens <= spec.vocabSize).map((tokens) =>
    shortened(kernel, tokens),
  );
}

/**
 * Widths that are tried where nobody names any: so wide that the keys and values read are this share of the weights that a
 * draft step reads. Wider saves little of the context, narrower saves little of the step and loses acceptance.
 */
const SHARES_OF_WEIGHTS = [1 / 3, 1 / 12];
/** With 4 sinks and 256 tokens single steps keep 84 % of SmolLM2-135M's tokens, with 128 80 %: narrower is no bargain. */
const NARROWEST = 256;
/** A span is worth its loss only where it is a small part of the context. */
const LEAST_SHARE = 3;
/** What of a draft step a span must spare at the longest context, by the bytes read. */
const LEAST_SPARED = 0.05;
/** Below this attention is too little of a step for spans to be worth the time of measuring them. */
const LONG_CONTEXT = 3000;

/**
 * What spans are measured where no choices are named: none at short contexts, none where weights are so many that attention
 * hardly counts, and none where none run. SmolLM2-135M has 1,024 and 256, a model of eight billion weights 8,192 and 2,048.
 */
export function usualSpans(
  longestContext: number,
  { kernels, spec, numerics }: Pick<Engine, "kernels" | "spec" | "numerics">,
  { provider }: Pick<PipelineContext, "provider">,
): SpannedKernel[] {
  if (provider !== "cpu" || longestContext < LONG_CONTEXT) return [];
  const kernel = kernels[1] ?? "target";
  const weights = matrixBytes(spec, kernel, numerics);
  const kvPerToken = cacheBytesPerToken(spec, numerics);
  const spares = (span: number) =>
    kvPerToken * (longestContext - tokensRead(span, longestContext)) >=
    LEAST_SPARED * (weights + kvPerToken * longestContext);
  const widths = SHARES_OF_WEIGHTS.map((share) => nearestPower((share * weights) / kvPerToken));
  return [...new Set(widths)]
    .filter((span) => LEAST_SHARE * tokensRead(span, Number.POSITIVE_INFINITY) <= longestContext && spares(span))
    .map((span) => spanned(kernel, span));
}

/** The power of two of the nearest ratio, within what a span may have. */
const nearestPower = (tokens: number): number => clamp(2 ** Math.round(Math.log2(tokens)), NARROWEST, GREATEST_SPAN);

/** Spans that a profile and a calibration have both measured. */
export function spansOfBoth(profile: Profile, calibration: Calibration): SpannedKernel[] {
  const profiled = orderedChoices(profile.points.flatMap(({ attn_us }) => Object.keys(attn_us) as Choice[]));
  return profiled
    .filter(isSpanned)
    .filter((span) => calibration.contexts.every(({ attn }) => attn[span] !== undefined));
}

/** Short heads that a profile and a calibration have both measured. */
export function shortHeadsOfBoth(profile: Profile, calibration: Calibration): ShortKernel[] {
  const profiled = profile.points.flatMap(({ head_us }) => Object.keys(head_us) as Choice[]);
  return shortHeads(profiled).filter((short) => calibration.contexts.every(({ head }) => head[short] !== undefined));
}

/** These choices without the one that the target is computed with; a span or a short head of it is the target's. */
export function besideTarget<One extends Choice>(
  choices: readonly One[],
  precision: TargetPrecision,
  { note }: Pick<PipelineContext, "note">,
): One[] {
  const others = choices.filter((choice) => choice !== precision);
  if (others.length < choices.length) note(`${precision} is the target's own kernel here, and no choice beside it`);
  return others.map((choice) => (kernelOf(choice) === precision ? ofTarget(choice) : choice) as One);
}

/** What a draft may do with a block beside a target of this precision, where nothing else is asked for. */
export const usualChoices = (precision: TargetPrecision): DraftChoice[] => ["skip", ...usualKernels(precision)];
