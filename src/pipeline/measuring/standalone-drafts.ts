/**
 * Whole drafts with a cache of their own that need no profile to be thought of: everything in one kernel, and ladders of
 * skips by what single skips lose over the target's cache. With a cache of their own they lose more, and not in the same
 * order; so the ladders only say which drafts to look at, and their curves what they are worth.
 */
import { type ContextPrompts, ROUND_TOKENS } from "../../calibrate/calibrate.js";
import type { Continuation, ContinuedPrompts } from "../../calibrate/continuation.js";
import { DraftEvidence, measureStandalone } from "../../calibrate/whole-drafts.js";
import type { Progress } from "../../core/progress.js";
import type { Clock, Engine } from "../../runtime/engine.js";
import type { Calibration, CalibrationContext } from "../../schema/calibration.js";
import { type ChoiceSet, choiceKey, type Kernel, quantisedKernels, uniformChoices } from "../../schema/choice.js";
import { sum } from "../../stats/numbers.js";
import { choosing } from "./measuring.js";

/** Half of the model skipped is the longest ladder: 1, 2, 4, … blocks, and as many whole layers as are half of them. */
function ladder(most: number): number[] {
  const steps: number[] = [];
  for (let count = 1; count <= most; count *= 2) steps.push(count);
  return steps;
}

/** Mean over the contexts, so that the drafts are the same at all of them: only those can be planned across them. */
const meanLoss = (contexts: readonly CalibrationContext[], kind: "attn" | "mlp", layer: number): number =>
  sum(contexts.map((context) => context[kind].skip?.[layer].loss ?? 0)) / contexts.length;

/**
 * @param kernels those the engine can run, target first
 * @returns the likeliest to be accepted first, of each kind
 */
export function standaloneDrafts(
  contexts: readonly CalibrationContext[],
  layers: number,
  kernels: readonly Kernel[],
): ChoiceSet[] {
  const quantised = quantisedKernels(kernels);
  const losses = Array.from({ length: 2 * layers }, (_, b) => meanLoss(contexts, b % 2 === 0 ? "attn" : "mlp", b >> 1));
  const cheapest = (of: readonly number[]) => [...of.keys()].sort((a, b) => of[a] - of[b] || a - b);
  const blocks = cheapest(losses);
  const wholes = cheapest(Array.from({ length: layers }, (_, layer) => losses[2 * layer] + losses[2 * layer + 1]));
  const skipped = [
    ...ladder(layers).map((count) => blocks.slice(0, count)),
    ...ladder(layers >> 1).map((count) => wholes.slice(0, count).flatMap((layer) => [2 * layer, 2 * layer + 1])),
  ];
  const sets = quantised.map((kernel) => uniformChoices(layers, kernel));
  for (const kernel of ["target", ...quantised.slice(0, 1)] as Kernel[]) {
    const whole = uniformChoices(layers, kernel);
    for (const members of skipped)
      sets.push({ ...whole, blocks: whole.blocks.map((choice, b) => (members.includes(b) ? "skip" : choice)) });
  }
  return [...new Map(sets.map((set) => [choiceKey(set), set])).values()];
}

/** A draft that the target agrees with this seldom along a first text is followed no further: no plan will use it. */
const HOPELESS = 0.3;

export interface StandaloneMeasuring {
  engine: Engine;
  /** of the same weights, with another cache */
  own: Engine;
  clock: Clock;
  /** by the clock: a context's drafts are followed on to more text until its share of the time is up */
  untilUs: number;
  /** that a draft is followed over at a context, if its text has so many */
  positions: number;
  progress: Progress;
}

/**
 * Curves of these drafts on both parts of the text, at every context: each on one text at least, and those that are any good
 * on more, until there are positions enough or the time is up. What is hopeless on the text of choosing is not tried again.
 */
export async function measureStandaloneDrafts(
  measuring: StandaloneMeasuring,
  sets: readonly ChoiceSet[],
  prompts: readonly Pick<ContextPrompts, "atContext">[],
  texts: Record<"choose" | "report", ReadonlyMap<number, ContinuedPrompts>>,
): Promise<Calibration["measured"]> {
  const measured: Calibration["measured"] = [];
  const { clock, untilUs, progress } = measuring;
  for (const [i, { atContext: at }] of prompts.entries()) {
    let alive = sets;
    for (const [k, part] of (["choose", "report"] as const).entries()) {
      const now = clock.nowUs();
      const until = now + (untilUs - now) / (2 * (prompts.length - i) - k);
      const found = await follow(measuring, alive, textsOf(texts[part].get(at), progress), until);
      for (const { set, evidence } of found)
        measured.push({ ...choosing(at, set, evidence.curve(ROUND_TOKENS), true), part });
      alive = found.filter(({ evidence }) => !isHopeless(evidence)).map(({ set }) => set);
    }
  }
  return measured;
}

/** Those that were continued before, then further ones. */
async function* textsOf(texts: ContinuedPrompts | undefined, progress: Progress): AsyncGenerator<Continuation> {
  if (texts === undefined) return;
  yield* [...texts.made];
  for (let next = await texts.next(progress); next !== null; next = await texts.next(progress)) yield next;
}

const isHopeless = ({ positions }: DraftEvidence): boolean => sum(positions) < HOPELESS * positions.length;

async function follow(
  { engine, own, clock, positions, progress }: StandaloneMeasuring,
  sets: readonly ChoiceSet[],
  texts: AsyncIterable<Continuation>,
  untilUs: number,
): Promise<{ set: ChoiceSet; evidence: DraftEvidence }[]> {
  const found = sets.map((set) => ({ set, evidence: new DraftEvidence() }));
  let followed = found;
  let seen = 0;
  for await (const text of texts) {
    const drafts = followed.map(({ set }) => set);
    const more = await measureStandalone(engine, own, [text], drafts, ROUND_TOKENS, progress);
    followed.forEach(({ evidence }, i) => {
      evidence.take(more[i].evidence);
    });
    seen += text.ids.length - 1;
    followed = followed.filter(({ evidence }) => !isHopeless(evidence));
    if (followed.length === 0 || seen >= positions || clock.nowUs() >= untilUs) break;
  }
  return found.filter(({ evidence }) => evidence.positions.length > 0);
}
