/**
 * Which passes a sweep measures. A design for a regression: passes of random choices so that every block's cost can be told
 * from every other's, and anchors (everything at one choice) where it matters most that the sum is right.
 */

import {
  BLOCK_KINDS,
  type BlockKind,
  blockKind,
  type Choice,
  everywhere,
  type Kernel,
  quantisedKernels,
  type ShortKernel,
  type SpannedKernel,
  suits,
  targetChoices,
  uniformChoices,
} from "../../schema/choice.js";
import { sum } from "../../stats/numbers.js";
import type { Random } from "../../stats/random.js";
import type { SweepPass } from "./pass.js";

/** Passes without a head: enough to fix its cost, few enough that most look like a draft step. */
const HEADLESS = 0.25;

/**
 * Shares of the choices, uniform over all mixtures (Dirichlet with all parameters 1). Drawn anew for each pass and kind of
 * block: with one fixed mixture the number of blocks of a choice would hardly vary, and its pooled cost would hang on noise.
 */
function mixture(random: Random, choices: readonly Choice[]): () => Choice {
  const weights = choices.map(() => -Math.log(1 - random.float()));
  const total = sum(weights);
  return () => {
    let rest = random.float() * total;
    for (let i = 0; i < choices.length - 1; i++) {
      rest -= weights[i];
      if (rest < 0) return choices[i];
    }
    return choices[choices.length - 1];
  };
}

/** A draft step: every kernel of the engine, spans of attention, and skip; of the head every kernel, and short ones. */
export function draftPass(
  random: Random,
  layers: number,
  kernels: readonly Kernel[],
  spans: readonly SpannedKernel[] = [],
  shorts: readonly ShortKernel[] = [],
): SweepPass {
  const choices: Choice[] = [...kernels, ...spans, "skip"];
  const draw = Object.fromEntries(
    BLOCK_KINDS.map((kind) => [
      kind,
      mixture(
        random,
        choices.filter((choice) => suits(choice, kind)),
      ),
    ]),
  );
  const blocks = Array.from({ length: 2 * layers }, (_, index) => draw[blockKind(index)]());
  const heads = [...kernels, ...shorts];
  return { choices: { blocks, head: heads[random.index(heads.length)] }, head: random.float() >= HEADLESS };
}

/** At q > 1 only the target runs; some of its blocks, one at least, are left out so that attention can be told from the MLP. */
export function partialPass(random: Random, layers: number): SweepPass {
  const { choices, head } = draftPass(random, layers, ["target"]);
  const out = random.index(2 * layers);
  return { choices: { ...choices, blocks: choices.blocks.map((choice, i) => (i === out ? "skip" : choice)) }, head };
}

/**
 * The corners at q > 1: the target without its head, attention alone, MLPs alone. Half of the passes in part: what random
 * ones tell of a kind as a whole is a third of what these do.
 */
export function partialCorners(layers: number): SweepPass[] {
  const target = targetChoices(layers);
  const alone = (kind: BlockKind): SweepPass => ({
    choices: { ...target, blocks: target.blocks.map((choice, i) => (blockKind(i) === kind ? choice : "skip")) },
    head: true,
  });
  return [{ choices: target, head: false }, ...BLOCK_KINDS.map(alone)];
}

/**
 * The other corners: nothing but the fixed part, and all blocks at one quantised kernel (what most drafts are nearly like)
 * with each head and with none, so that a head's cost is the difference of passes that are otherwise the same. Every span is
 * there once in all layers, and every short head on all blocks of its kernel.
 */
export function cornerPasses(
  layers: number,
  kernels: readonly Kernel[],
  spans: readonly SpannedKernel[] = [],
  shorts: readonly ShortKernel[] = [],
): SweepPass[] {
  const corners: SweepPass[] = [{ choices: uniformChoices(layers, "skip"), head: false }];
  for (const kernel of quantisedKernels(kernels)) {
    const all = uniformChoices(layers, kernel);
    corners.push(
      { choices: all, head: true },
      { choices: all, head: false },
      { choices: { ...all, head: "target" }, head: true },
    );
  }
  for (const head of shorts) corners.push({ choices: everywhere(layers, head), head: true });
  for (const span of spans) corners.push({ choices: everywhere(layers, span), head: true });
  return corners;
}
