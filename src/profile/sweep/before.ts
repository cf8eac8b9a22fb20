/**
 * What comes before a sweep: a cache as it is in use, and the time of the decoding loop itself.
 *
 * Makes the KV cache such that attention over it costs what it costs in use.
 *
 * Timing needs no real text, but not just any memory either. A fresh cache is memory that was never written: all its
 * pages are one zero page of the operating system, which stays in the first-level cache. Attention over it is too cheap: a
 * step of the embedded model took 0.73 to 0.89 of its time after a prefill at n = 1024, 0.80 to 0.83 at n = 2038 (EPYC,
 * one thread, interleaved). A prefill takes time that grows with n², and leaving out the MLPs saves little of it (SmolLM2,
 * 4096 tokens: 22 %). It suffices to write something into every page, one token in each, with the MLPs left out: then the
 * same ratios are 0.95 to 0.99. The rest of a page is zeros (all of it was, embedded model and SmolLM2), or what the
 * allocator had there: subnormal numbers among it would slow the arithmetic down, so a sample is looked at, and where
 * there are any the whole prefill is run after all.
 */
import { median } from "simple-statistics";
import { type Progress, silentProgress } from "../../core/progress.js";
import { decode, type Round } from "../../decode/loop.js";
import type { Clock, Engine } from "../../runtime/engine.js";
import { MAX_PASS_TOKENS } from "../../runtime/limits.js";
import {
  blockKind,
  type ChoiceSet,
  everywhere,
  quantisedKernels,
  readsAll,
  type SpannedKernel,
  targetChoices,
  uniformChoices,
} from "../../schema/choice.js";
import { confidenceOfLogits } from "../../stats/confidence.js";
import { sum } from "../../stats/numbers.js";
import { timeQueued } from "./queued.js";

const PAGE_BYTES = 4096;
const SMALLEST_NORMAL = 2 ** -126;
/** Places in every layer's keys and values that are looked at, and tokens in each: reading all of it back takes seconds. */
const SAMPLE = { places: 4, tokens: 32 };

export type Fill = "touched" | "prefilled";

/**
 * @param readAll whether the ids are a text that the model reads as in use: what a router then sees are its own states
 * @returns how it was done
 */
export async function fillCache(
  engine: Engine,
  tokens: number,
  ids: readonly number[],
  progress: Progress = silentProgress,
  readAll = false,
): Promise<Fill> {
  const { layers, headDim } = engine.spec;
  const all = targetChoices(layers);
  const attentionOnly: ChoiceSet = {
    ...all,
    blocks: all.blocks.map((choice, i) => (blockKind(i) === "attn" ? choice : "skip")),
  };
  const id = (position: number) => ids[position % ids.length];
  const write = async (step: number, length: number, choices = attentionOnly) => {
    for (let position = 0; position < tokens; position += step) {
      const input = Array.from({ length: Math.min(length, tokens - position) }, (_, i) => id(position + i));
      engine.run({ position, input, choices, logitRows: 0 });
      await progress.tick({ stage: "fill", done: Math.min(tokens, position + step), total: tokens });
    }
  };
  if (readAll) {
    await write(MAX_PASS_TOKENS, MAX_PASS_TOKENS, all);
    return "prefilled";
  }
  const width = 16 * Math.ceil(headDim / 16); // heads are stored filled up to a multiple of 16
  await write(Math.max(1, Math.floor(PAGE_BYTES / (4 * width))), 1);
  if (isHarmless(engine, tokens)) return "touched";
  await write(MAX_PASS_TOKENS, MAX_PASS_TOKENS);
  return "prefilled";
}

/** Whether the numbers in the cache are as fast to compute with as any other, judged by a sample of every layer. */
function isHarmless(engine: Engine, tokens: number): boolean {
  const count = Math.min(SAMPLE.tokens, tokens);
  const places = Array.from({ length: SAMPLE.places }, (_, i) =>
    Math.floor((i * (tokens - count)) / (SAMPLE.places - 1)),
  );
  const harmless = (value: number) => value === 0 || (Math.abs(value) >= SMALLEST_NORMAL && Math.abs(value) < Infinity);
  for (let layer = 0; layer < engine.spec.layers; layer++) {
    for (const part of ["key", "value"] as const) {
      if (!places.every((from) => engine.readCache(layer, part, from, count).every(harmless))) return false;
    }
  }
  return true;
}

const PROMPT_TOKENS = 16;
const NEW_TOKENS = 64;
const DRAFT_TOKENS = 4;

export interface LoopOverhead {
  roundUs: number;
  stepUs: number;
}

/** Tokens that a round adds to the text. */
const ADDED_TOKENS = 5;
const REFRESH_PAIRS = 24;

/**
 * What a layer with a span adds to a round: its small cache takes over what the round before added to the text. Steps of
 * attention alone in pairs by turns: before one of each the engine is told that the last tokens were written again.
 * @param context tokens of the cache that are written
 * @returns null where no span is measured that is shorter than the context
 */
export async function measureRefresh(
  {
    engine,
    clock,
    ids,
    spans,
  }: { engine: Engine; clock: Clock; ids: readonly number[]; spans: readonly SpannedKernel[] },
  context: number,
  progress: Progress = silentProgress,
): Promise<number | null> {
  const shorter = spans.filter((span) => !readsAll(span, context - ADDED_TOKENS));
  if (shorter.length === 0) return null;
  const { layers } = engine.spec;
  const all = everywhere(layers, shorter[shorter.length - 1]); // the narrowest: its steps vary least
  const choices = { ...all, blocks: all.blocks.map((choice, i) => (blockKind(i) === "attn" ? choice : "skip")) };
  const added = Array.from({ length: ADDED_TOKENS }, (_, i) => i);
  const step = (writes: boolean): number => {
    if (writes) engine.keepRows?.(context - ADDED_TOKENS, added); // they lie where they belong: nothing is moved
    const from = clock.nowUs();
    engine.run({ position: context, input: ids.slice(0, 1), choices, logitRows: 0 });
    return clock.nowUs() - from;
  };
  step(true);
  const differences: number[] = [];
  for (let pair = 0; pair < REFRESH_PAIRS; pair++) {
    const first = step(pair % 2 === 0);
    const second = step(pair % 2 === 1);
    differences.push(pair % 2 === 0 ? first - second : second - first);
    await progress.tick();
  }
  return Math.max(0, median(differences)) / layers;
}

const overheadUs = (rounds: readonly Round[]): number =>
  rounds.length === 0
    ? 0
    : median(rounds.map(({ totalUs, draftUs, verifyUs }) => Math.max(0, totalUs - draftUs - verifyUs)));

/**
 * What the decoding loop itself adds to a round and to a plain step, measured on the loop itself.
 * @param ids any token ids: what is decoded does not matter
 */
export async function measureLoop(
  engine: Engine,
  clock: Clock,
  ids: readonly number[],
  progress: Progress = silentProgress,
): Promise<LoopOverhead> {
  const promptTokens = Math.max(1, Math.min(PROMPT_TOKENS, engine.capacity - 2));
  const prompt = Array.from({ length: promptTokens }, (_, i) => ids[i % ids.length]);
  const maxTokens = Math.min(NEW_TOKENS, engine.capacity - promptTokens);
  const common = { endTokens: [], clock, progress };
  const choice = quantisedKernels(engine.kernels)[0] ?? "skip";
  const draft = { choices: uniformChoices(engine.spec.layers, choice), draftTokens: DRAFT_TOKENS };
  const speculative = await decode(engine, prompt, { ...common, maxTokens, policy: () => draft });
  const plain = await decode(engine, prompt, { ...common, maxTokens: Math.min(24, maxTokens), policy: null });
  const rounds = speculative.rounds.filter(({ drafted }) => drafted > 0);
  if (engine.runQueued === undefined) return { roundUs: overheadUs(rounds), stepUs: overheadUs(plain.rounds) };
  const target = targetChoices(engine.spec.layers);
  const at = { engine, clock, ids };
  const steps = (context: number) =>
    Array.from({ length: DRAFT_TOKENS }, (_, i) => queuedUs(at, draft.choices, context + i, 1));
  return {
    roundUs: beyondPasses(
      rounds.filter(({ drafted }) => drafted === DRAFT_TOKENS),
      (context) => sum(steps(context)) + queuedUs(at, target, context, DRAFT_TOKENS + 1),
    ),
    stepUs: beyondPasses(plain.rounds, (context) => queuedUs(at, target, context, 1)),
  };
}

const queuedUs = (at: Parameters<typeof timeQueued>[0], choices: ChoiceSet, context: number, q: number) =>
  timeQueued(at, { choices, head: true }, context, q);

/** What the usual round takes more than its passes as they are timed: the wait for the device is no pass's, and a round has one. */
function beyondPasses(rounds: readonly Round[], passesUs: (context: number) => number): number {
  const usual = [...rounds].sort((a, b) => a.totalUs - b.totalUs)[(rounds.length - 1) >> 1];
  return usual === undefined ? 0 : Math.max(0, usual.totalUs - passesUs(usual.context));
}

const READINGS = 31;

/**
 * Median µs of reading off a drafted token's logits how sure the draft is: what a draft pays at every token that may be its
 * last.
 * @param ids any token ids
 * @returns null for an engine whose drafts hand over no logits: to fetch them would cost a round that is left to the device,
 *   and how much was never measured
 */
export function measureConfidence(engine: Engine, clock: Clock, ids: readonly number[]): number | null {
  if (engine.greedyRound !== undefined) return null;
  const choices = uniformChoices(engine.spec.layers, "target");
  const { logits } = engine.run({ position: 0, input: ids.slice(0, 1), choices, logitRows: 1 });
  const readings = Array.from({ length: READINGS }, () => {
    const from = clock.nowUs();
    confidenceOfLogits(logits, 0, engine.spec.vocabSize);
    return clock.nowUs() - from;
  });
  return median(readings);
}
