/**
 * Losses of single choices: −ln α of a draft in which one block (or, for cheap kernels, a group of blocks) differs.
 *
 * Top-1 hits alone are too coarse for cheap choices: an int8 block of SmolLM2-135M loses about 3e-4, the standard error
 * of 1,000 hits is 5e-4. So each loss is −ln of the mean overlap, scaled to hits by one factor for all.
 */

import type { Progress } from "../core/progress.js";
import type { Engine } from "../runtime/engine.js";
import type { CalibrationContext } from "../schema/calibration.js";
import {
  BLOCK_KINDS,
  type BlockKind,
  blockIndex,
  type Choice,
  type HeadKernel,
  isShort,
  isSpanned,
  type Kernel,
  kernelOf,
  quantisedKernels,
  type ShortKernel,
  type SpannedKernel,
  targetChoices,
} from "../schema/choice.js";
import { significant } from "../stats/numbers.js";
import { type Continuation, spansBackwards, traceTarget } from "./continuation.js";
import { draftPass } from "./draft-pass.js";
import { type LossProbe, type Probed, Tally } from "./tally.js";
import { togetherProbes } from "./together.js";

export { type LossProbe, Tally };

/** Groups of layers a quantised kernel is measured in, a kind: each member gets an equal share of its group's loss. */
const GROUPS = 3;
/** A skip this ruinous after MIN_PROMPTS prompts is measured no further: no plan will use it. */
const RUINOUS = 0.4;
const MIN_PROMPTS = 1;
/**
 * A skip is known well enough where its standard error is below either. Of rounds of four tokens, an error of x in a loss
 * moves the tokens of a round by at most 2x (d ln Σ αⁱ / d ln α = 2 at α = 1), so the first is worth 1.5 %, what whole drafts
 * are measured to. A dear skip is left out of the draft or stands among a few: a tenth of it tells which.
 */
const ENOUGH = { error: 0.0075, share: 0.1 };

/**
 * Every single skip, every span of every single layer (layers differ twentyfold in what they lose by one), the quantised
 * kernels in groups of layers, and the head.
 * @param kernels those the engine can run
 * @param spans   that are shorter than the context
 * @param shorts  short heads that it can run
 */
export function lossProbes(
  layers: number,
  kernels: readonly Kernel[],
  spans: readonly SpannedKernel[] = [],
  shorts: readonly ShortKernel[] = [],
): LossProbe[] {
  const quantised = quantisedKernels(kernels);
  const target = targetChoices(layers);
  const probes: LossProbe[] = [];
  const add = (choice: Choice, kind: BlockKind, members: number[]) => {
    const blocks = [...target.blocks];
    for (const layer of members) blocks[blockIndex(layer, kind)] = choice;
    probes.push({ choice, kind, layers: members, choices: { blocks, head: "target" } });
  };
  const all = Array.from({ length: layers }, (_, layer) => layer);
  for (const kind of BLOCK_KINDS) {
    for (const layer of all) add("skip", kind, [layer]);
    if (kind === "attn") for (const span of spans) for (const layer of all) add(span, kind, [layer]);
    for (const kernel of quantised) {
      const size = Math.ceil(layers / GROUPS);
      for (let from = 0; from < layers; from += size) add(kernel, kind, all.slice(from, from + size));
    }
  }
  for (const kernel of [...quantised, ...shorts]) {
    probes.push({ choice: kernel, kind: "head", layers: [], choices: { blocks: target.blocks, head: kernel } });
  }
  return probes;
}

/** Drafts whose overlap is less say nothing of the small losses that a plan is made of. */
const LEAST_OVERLAP = 0.4;

/**
 * The factor from −ln(overlap) to −ln(hit rate): one for all probes, the ratio of their sums. Which probes count is told by
 * their overlaps alone. Told by their hits, those that happened to have no miss would be left out, and the rest have more
 * misses than their share: with 64 positions and a true hit rate of 0.99 the factor came out twice as large as it is.
 */
export function hitsPerOverlap(tallies: readonly Tally[]): number {
  let hitLoss = 0;
  let overlapLoss = 0;
  for (const tally of tallies) {
    if (tally.meanOverlap < LEAST_OVERLAP) continue;
    hitLoss += -Math.log(Math.max(tally.hits, 0.5) / tally.positions);
    overlapLoss += tally.loss.loss;
  }
  return overlapLoss > 0 && hitLoss > 0 ? hitLoss / overlapLoss : 1;
}

/**
 * Whether a probe is run over one round of a text. Quantised kernels, few and with losses far below their hits' noise, are
 * run over everything. Skips and spans are many and are known sooner: each is run over every second round of one prompt of each kind
 * of text, and over whole prompts from there on, until it is known well enough.
 * @param text  prompts before this one
 * @param round rounds before this one in the prompt
 * @param kinds of text, of which prompts come by turns; null: everything is wanted of every prompt
 */
export function isWanted(probe: LossProbe, tally: Tally, text: number, round: number, kinds: number | null): boolean {
  const { loss, standardError } = tally.loss;
  if (text >= MIN_PROMPTS && loss >= RUINOUS) return false;
  if (kinds === null || (probe.choice !== "skip" && !isSpanned(probe.choice))) return true;
  // prompts of one number begin with another round than those of the next, so no kind is heard at its beginning alone
  if (text < kinds) return (text + round) % 2 === 0;
  return standardError > Math.max(ENOUGH.error, ENOUGH.share * loss);
}

/**
 * Measures every probe over the continuations of one context.
 * @param continuations may be made one by one: the cache holds the states of each when it comes, as after making it
 * @param kinds of text, of which continuations come by turns; null: every probe is run over everything
 * @param spans  of attention, shorter than the context
 */
export async function measureLosses(
  engine: Engine,
  continuations: AsyncIterable<Continuation>,
  roundTokens: number,
  progress: Progress,
  kinds: number | null = null,
  spans: readonly SpannedKernel[] = [],
): Promise<Probed & { together: Probed }> {
  const { layers } = engine.spec;
  const single = lossProbes(layers, engine.kernels, spans, engine.shortHeads);
  const probes = [...single, ...togetherProbes(layers, spans)];
  const tallies = probes.map(() => new Tally());
  let text = 0;
  for await (const continuation of continuations) {
    const trace = await traceTarget(engine, continuation, progress);
    const before = tallies.map((tally) => tally.copy());
    for (const span of spansBackwards(continuation, roundTokens)) {
      const round = span.from / roundTokens;
      for (const [i, probe] of probes.entries()) {
        if (!isWanted(probe, before[i], text, round, kinds)) continue;
        const { hits, overlaps } = draftPass(engine, continuation, span, probe.choices, trace);
        tallies[i].add(hits, overlaps);
        await progress.tick();
      }
    }
    text++;
    await progress.tick({ stage: "calibrate" });
  }
  const part = (from: number, to?: number) => ({ probes: probes.slice(from, to), tallies: tallies.slice(from, to) });
  return { ...part(0, single.length), together: part(single.length) };
}

const rounded = (x: number): number => significant(x, 5);

/** The factor of these probes; of states that are a little off, and not of short heads, which lose whole tokens. */
export const hitsFactorOf = (probes: readonly LossProbe[], tallies: readonly Tally[]): number =>
  hitsPerOverlap(tallies.filter((_, i) => !isShort(probes[i].choice)));

/**
 * Tallies -> the document's context record.
 * @param factor  from −ln(overlap) to −ln(acceptance)
 * @param counted whether hits are what is accepted: a short head has enough misses for them to tell its loss themselves
 */
export function lossRecord(
  atContext: number,
  layers: number,
  probes: readonly LossProbe[],
  tallies: readonly Tally[],
  factor = hitsFactorOf(probes, tallies),
  counted = true,
): CalibrationContext {
  const empty = () => new Array<{ loss: number; standard_error: number }>(layers);
  const record: CalibrationContext = {
    at_context: atContext,
    positions: Math.max(...tallies.map((tally) => tally.positions)),
    hits_per_overlap: rounded(factor),
    head: {},
    attn: {},
    mlp: {},
  };
  probes.forEach((probe, i) => {
    const byHits = counted && isShort(probe.choice);
    const { loss, standardError } = byHits ? tallies[i].hitLoss : tallies[i].loss;
    const [times, share] = [byHits ? 1 : factor, Math.max(1, probe.layers.length)];
    const entry = { loss: rounded((times * loss) / share), standard_error: rounded((times * standardError) / share) };
    if (probe.kind === "head") {
      record.head[probe.choice as HeadKernel] = entry;
      return;
    }
    const choice = probe.choice as Exclude<Choice, "target">;
    const list = record[probe.kind][choice] ?? empty();
    record[probe.kind][choice] = list;
    for (const layer of probe.layers) list[layer] = { ...entry };
  });
  return record;
}

/** A span as long as the context loses what its kernel loses: nothing more, and of the target's nothing. */
export function withWideSpans(
  record: CalibrationContext,
  layers: number,
  spans: readonly SpannedKernel[],
): CalibrationContext {
  const none = () => Array.from({ length: layers }, () => ({ loss: 0, standard_error: 0 }));
  const attn = { ...record.attn };
  for (const span of spans) {
    const kernel = kernelOf(span);
    attn[span] = kernel === "target" ? none() : (attn[kernel] ?? none()).map((entry) => ({ ...entry }));
  }
  return { ...record, attn };
}
