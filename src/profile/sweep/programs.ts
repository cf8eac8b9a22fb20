/**
 * The sweep where a pass is a program (runtime/programs): a graph of its own, captured once and replayed without the host.
 *
 * A pass of choices drawn anew each time, as the graph with choices is measured by (visit.ts), would make and capture a
 * program to time it once. So a small deck is timed again and again, whose differences are the parts: all blocks of a kernel
 * with the head and without, its attention alone, its MLPs alone, half of the layers. Programs of mixed choices are kept out
 * of the fit, and say how far it is off. Layers of one shape run the same kernels on a device, so they are fitted as one;
 * attention whose window is another is a class of its own. From such passes on an H200 (Llama-3.1-8B's shape) seven mixes
 * were predicted within 1.3 %, and with a wait for the host after each pass within 4.6 %: so passes are timed queued.
 */
import type { ModelSpec } from "../../model/spec.js";
import type { Engine } from "../../runtime/engine.js";
import {
  BLOCK_KINDS,
  type BlockKind,
  blockKind,
  blockLayer,
  type Choice,
  type ChoiceSet,
  choiceKey,
  everywhere,
  type Kernel,
  type ShortKernel,
  type SpannedKernel,
  targetChoices,
  uniformChoices,
} from "../../schema/choice.js";
import { type Random, seededRandom } from "../../stats/random.js";
import type { Bench, Visit } from "./bench.js";
import { draftPass } from "./design.js";
import { type Observation, type SweepPass, targetPass } from "./pass.js";
import { QUEUED, timeQueued } from "./queued.js";

/** Programs of mixed choices: a few for the fit, and those that judge it. Each takes 70 MB of a GPU's memory. */
const MIXED = { fitted: 2, heldOut: 6 };
/** The target's steps in a visit: by them slow visits are known. */
const REFERENCES = 3;
export interface ProgramDeck {
  /** at q = 1, for the fit */
  steps: SweepPass[];
  /** at q = 1, kept out of the fit */
  heldOut: SweepPass[];
  /** at q > 1, beside the whole target: only that is verified with */
  parts: SweepPass[];
  /** [layers] which of them attend alike; undefined: all do */
  attnClasses: readonly number[] | undefined;
}

/** Equal for passes of the same program. */
export const passKey = ({ choices, head }: SweepPass): string => `${head} ${choiceKey(choices)}`;

export function programDeck(
  spec: ModelSpec,
  { kernels, shortHeads: shorts = [] }: Pick<Engine, "kernels" | "shortHeads">,
  spans: readonly SpannedKernel[],
  seed: number,
): ProgramDeck {
  const { layers } = spec;
  const attnClasses = attentionClasses(spec);
  const target = targetChoices(layers);
  const whole = kernels.map((kernel) => uniformChoices(layers, kernel));
  const headed = (choices: ChoiceSet): SweepPass => ({ choices, head: true });
  const headless = (choices: ChoiceSet): SweepPass => ({ choices, head: false });
  const random = seededRandom(seed);
  const mixed = () => headed(mixedChoices(random, layers, kernels, spans, shorts));
  return {
    steps: [
      headless(uniformChoices(layers, "skip")),
      ...whole.flatMap((all) => [headed(all), headless(all), ...kindsAlone(all, attnClasses).map(headless)]),
      headed(halfOf(target)),
      ...spans.map((span) => headless(alone(everywhere(layers, span), "attn"))),
      ...shorts.map((head) => headed(everywhere(layers, head))),
      ...Array.from({ length: MIXED.fitted }, mixed),
    ],
    heldOut: Array.from({ length: MIXED.heldOut }, mixed),
    parts: [headless(target), ...kindsAlone(target, attnClasses).map(headed), headed(halfOf(target))],
    attnClasses,
  };
}

/** By its window, the only thing in which layers' attentions differ; those that see most are class 0. */
function attentionClasses({ layerWindows }: ModelSpec): number[] | undefined {
  if (layerWindows === undefined) return undefined;
  const widths = layerWindows.map((window) => window ?? Number.POSITIVE_INFINITY);
  const distinct = [...new Set(widths)].sort((a, b) => b - a);
  return distinct.length === 1 ? undefined : widths.map((width) => distinct.indexOf(width));
}

/** MLPs alone, and attention alone, of every class by itself. */
function kindsAlone(all: ChoiceSet, attnClasses: readonly number[] | undefined): ChoiceSet[] {
  const classes = [...new Set(attnClasses)];
  const attentions =
    attnClasses === undefined
      ? [alone(all, "attn")]
      : classes.map((one) => alone(all, "attn", (layer) => attnClasses[layer] === one));
  return [...attentions, alone(all, "mlp")];
}

const alone = (all: ChoiceSet, kind: BlockKind, keeps: (layer: number) => boolean = () => true): ChoiceSet => ({
  ...all,
  blocks: all.blocks.map((choice, i) => (blockKind(i) === kind && keeps(blockLayer(i)) ? choice : "skip")),
});

const halfOf = (all: ChoiceSet): ChoiceSet => ({
  ...all,
  blocks: all.blocks.map((choice, i): Choice => (blockLayer(i) % 2 === 0 ? choice : "skip")),
});

/** Choices that differ between blocks of a kind, where there are two blocks to differ. */
function mixedChoices(
  random: Random,
  layers: number,
  kernels: readonly Kernel[],
  spans: readonly SpannedKernel[],
  shorts: readonly ShortKernel[],
): ChoiceSet {
  const isMixed = ({ blocks }: ChoiceSet) =>
    layers < 2 || BLOCK_KINDS.every((kind) => new Set(blocks.filter((_, i) => blockKind(i) === kind)).size > 1);
  for (;;) {
    const { choices } = draftPass(random, layers, kernels, spans, shorts);
    if (isMixed(choices)) return choices;
  }
}

/** All of the deck at one context: every step once, and at each longer q the target and one pass in part, by turns. */
export async function visitPrograms(
  bench: Bench,
  { steps, heldOut, parts }: ProgramDeck,
  { context, lengths }: Visit,
  at: { round: number; visit: number },
  tick: () => Promise<void>,
): Promise<Observation[]> {
  const seen: Observation[] = [];
  const time = async (pass: SweepPass, query: number) => {
    await tick();
    seen.push({ ...pass, context, query, us: timeQueued(bench, pass, context, query), passes: QUEUED, ...at });
  };
  const target = targetPass(bench.engine.spec.layers);
  const references = new Array<SweepPass>(REFERENCES - 1).fill(target); // it is among the steps once
  for (const pass of bench.random.shuffle([...steps, ...references, ...heldOut])) await time(pass, 1);
  for (const [i, query] of lengths.entries()) {
    await time(target, query);
    await time(parts[(at.visit + i) % parts.length], query);
  }
  return seen;
}
