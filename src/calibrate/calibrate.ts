/** Losses at every context, into a calibration document. */
import type { Progress } from "../core/progress.js";
import type { Clock, Engine } from "../runtime/engine.js";
import type { Calibration } from "../schema/calibration.js";
import { readsAll, type SpannedKernel } from "../schema/choice.js";
import { type ModelRef, numericsOf } from "../schema/common.js";
import type { TextEvidence } from "./along-text.js";
import { type Continuation, ContinuedPrompts, type WrittenBefore } from "./continuation.js";
import type { HeadsEvidence } from "./heads-evidence.js";
import { hitsFactorOf, lossRecord, measureLosses, withWideSpans } from "./losses.js";
import { SAMPLING_SEED, type Sampling } from "./sampling.js";
import type { Probed } from "./tally.js";
import { spansTogether } from "./together.js";

/** Tokens of the rounds that losses and curves are measured in: the longest draft a plan may have. */
export const ROUND_TOKENS = 16;

/** Token ids of the prompts at one context: one part to choose plans, another to report them. As many as there may be need of. */
export interface ContextPrompts {
  atContext: number;
  choose: number[][];
  report: number[][];
  /** of what kind of text each prompt is; left out: nobody says */
  kinds?: { choose: number[]; report: number[] } | undefined;
  /** some are requests of a chat, of which a beginning is none; left out: all are text */
  chats?: true | undefined;
}

export interface CalibrationInput {
  engine: Engine;
  clock: Clock;
  model: ModelRef & { weights_sha256: string };
  text: Pick<Calibration["text"], "source" | "sha256" | "tokenizer_sha256">;
  /** by rising context */
  prompts: readonly ContextPrompts[];
  /** prompts that were asked for; absent: as many as usual */
  promptsPerContext?: number;
  continuationTokens: number;
  /** positions that losses are measured on at a context, if the prompts have so many; absent: all that they have */
  positions?: number;
  /** of text, of which prompts come by turns: a skip that is known well enough behind one of each is measured no further; absent: all are, on everything */
  kinds?: number;
  /** acceptance for sampling at this temperature; absent: for greedy decoding */
  temperature?: number;
  /** of attention, measured at every context that is longer than they are; absent: none */
  spans?: readonly SpannedKernel[] | undefined;
  /** by context: what the target is known to write behind prompts of the `choose` part; absent: nothing */
  written?: ReadonlyMap<number, WrittenBefore> | undefined;
  /** takes what trained heads know of the same text; absent: there are none */
  heads?: HeadsEvidence | undefined;
  /** takes what a lookup and other models guess of it; absent: there are none */
  along?: TextEvidence | undefined;
  progress: Progress;
}

export interface CalibrationResult {
  calibration: Calibration;
  /** the `choose` part by context, as far as it was continued: for measuring whole drafts on it, and on more */
  texts: Map<number, ContinuedPrompts>;
}

/** The continuations that make up so many positions, each made when it is asked for. */
async function* madeFor(text: ContinuedPrompts, positions: number, progress: Progress): AsyncGenerator<Continuation> {
  while (text.positions < positions) {
    const made = await text.next(progress);
    if (made === null) return;
    yield made;
  }
}

/** The same continuations, each gone through with whoever guesses before it is handed on: the cache holds its states then. */
async function* withGuesses(
  made: AsyncIterable<Continuation>,
  at: number,
  { engine, heads, along, progress }: CalibrationInput,
): AsyncGenerator<Continuation> {
  for await (const continuation of made) {
    await heads?.take(engine, at, "choose", continuation, progress);
    await along?.take(at, "choose", continuation, progress);
    yield continuation;
  }
}

/** How the target continues prompts for a calibration; null: greedily. */
export const samplingAt = (temperature: number | undefined): Sampling | null =>
  temperature === undefined ? null : { temperature, seed: SAMPLING_SEED };

/** When sampling, the overlap itself is the chance of acceptance; greedily, hits are another thing. */
const hitsFactor = (temperature: number | undefined, { probes, tallies }: Probed): number =>
  temperature === undefined ? hitsFactorOf(probes, tallies) : 1;

export async function calibrate(input: CalibrationInput): Promise<CalibrationResult> {
  const { engine, clock, progress, prompts } = input;
  const texts = new Map<number, ContinuedPrompts>();
  const contexts: Calibration["contexts"] = [];
  let used = 0;
  for (const { atContext, choose, kinds } of prompts) {
    const sampling = samplingAt(input.temperature);
    const known = input.written?.get(atContext);
    const tokens = input.continuationTokens;
    const text = new ContinuedPrompts(engine, clock, choose, tokens, sampling, kinds?.choose, known);
    texts.set(atContext, text);
    const made = withGuesses(madeFor(text, input.positions ?? Number.POSITIVE_INFINITY, progress), atContext, input);
    const { layers } = engine.spec;
    const isWide = (span: SpannedKernel) => readsAll(span, atContext);
    const spans = input.spans ?? [];
    const narrow = spans.filter((span) => !isWide(span));
    const measured = await measureLosses(engine, made, ROUND_TOKENS, progress, input.kinds, narrow);
    const { probes, tallies } = measured;
    const toHits = hitsFactor(input.temperature, measured);
    const record = {
      ...lossRecord(atContext, layers, probes, tallies, toHits, input.temperature === undefined),
      ...(measured.together.probes.length === 0
        ? {}
        : { together: spansTogether(measured, measured.together, toHits) }),
    };
    const losses = withWideSpans(record, layers, spans.filter(isWide));
    contexts.push(losses);
    used += text.made.length;
    await input.heads?.complete(engine, atContext, "choose", text, losses.positions, progress);
  }
  const report = prompts.reduce((sum, p) => sum + p.report.length, 0);
  const calibration: Calibration = {
    kind: "draftplan/calibration",
    version: 1,
    model: input.model,
    kernels: numericsOf(engine.kernels, engine.numerics),
    text: {
      ...input.text,
      prompts: { choose: used, report },
      ...(input.promptsPerContext === undefined ? {} : { prompts_per_context: input.promptsPerContext }),
      continuation_tokens: input.continuationTokens,
      ...(input.temperature === undefined ? {} : { temperature: input.temperature }),
      round_tokens: ROUND_TOKENS,
    },
    contexts,
    measured: [],
  };
  return { calibration, texts };
}
