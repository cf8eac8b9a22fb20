/**
 * Blocks and what a draft may do with them.
 *
 * A model of L layers has 2L blocks, in order `0.attn, 0.mlp, 1.attn, …`; index = 2 · layer + (0 attention, 1 MLP).
 * The kernels are data: a further one is a file and a line in model/kernels, and the graph, the profile and the solver
 * follow.
 */
import { DraftplanError } from "../core/errors.js";
import { asDraftKernel, draftKernel, SIMULATED, targetKernel } from "../model/kernels/registry.js";
import {
  type BlockKind,
  type Choice,
  type HeadKernel,
  isShort,
  isSpanned,
  KERNEL_NAMES,
  type Kernel,
  kernelOf,
  orderedChoices,
  type QuantisedKernel,
  shortened,
  shortOf,
  spanned,
  spanOf,
  suits,
} from "./choices/names.js";
import { CPU_NUMERICS, numericsName, type TargetPrecision } from "./numerics.js";

export { isSimulated, SIMULATED, type SimulatedKernel } from "../model/kernels/registry.js";
export * from "./choices/names.js";

/** What each computes with on the CPU, and the bits of a weight; of the target none, for they are the engine's. */
export const KERNELS = Object.fromEntries(
  KERNEL_NAMES.map((kernel) => [
    kernel,
    {
      numerics: numericsName(kernel, CPU_NUMERICS),
      bits: kernel === "target" ? null : draftKernel(kernel).bits,
    },
  ]),
) as Readonly<Record<Kernel, { numerics: string; bits: number | null }>>;

/** Those of these kernels that are not the target's own, in the order given. */
export const quantisedKernels = (kernels: readonly Kernel[]): QuantisedKernel[] =>
  kernels.filter((kernel): kernel is QuantisedKernel => kernel !== "target");

/** What a model is loaded with where nothing else is asked for. Every further kernel takes disk, memory and start-up time. */
export const DEFAULT_KERNELS: readonly Kernel[] = ["target", "int8"];

/** What a target of this precision is usually given to choose from: the first kernel here that is cheaper than its own. */
const USUAL_KERNELS: readonly QuantisedKernel[] = ["int8", "int4"];

/**
 * The kernels that are something else than the target: of a target in int8, `int8` is its own.
 * @returns those of these, in the order given
 */
export const apartFromTarget = (kernels: readonly Kernel[], precision: TargetPrecision): Kernel[] =>
  kernels.filter((kernel) => kernel !== precision);

/** The cheaper kernel that a draft may choose beside a target of this precision where none was named; none for int4. */
export const usualKernels = (precision: TargetPrecision): QuantisedKernel[] =>
  USUAL_KERNELS.filter((kernel) => draftKernel(kernel).bits < targetKernel(precision).bits).slice(0, 1);

/** What a model is loaded with where nothing else is asked for, by its target's precision. */
export const defaultKernels = (precision: TargetPrecision): Kernel[] => ["target", ...usualKernels(precision)];

export const BLOCK_KINDS: readonly BlockKind[] = ["attn", "mlp"];

/** One choice for every block and one for the head: everything a pass needs to know. */
export interface ChoiceSet {
  /** [2L] in block order */
  blocks: readonly Choice[];
  head: HeadKernel;
}

export const blockIndex = (layer: number, kind: BlockKind): number => 2 * layer + (kind === "attn" ? 0 : 1);
export const blockLayer = (index: number): number => index >> 1;
export const blockKind = (index: number): BlockKind => (index % 2 === 0 ? "attn" : "mlp");
export const blockName = (index: number): string => `${blockLayer(index)}.${blockKind(index)}`;

/** The kernels needed to run these choices, in the order of KERNELS: target first, for it is always needed; simulated ones last. */
export function kernelsFor(choices: Iterable<Choice>): Kernel[] {
  const asked = new Set<Kernel | null>([...choices].map(kernelOf));
  asked.add("target");
  return [...KERNEL_NAMES, ...SIMULATED.map(asDraftKernel)].filter((kernel) => asked.has(kernel));
}

/** The kernel of a head over all tokens, which is all that a graph of the whole model has. */
export function wholeHead({ head }: Pick<ChoiceSet, "head">): Kernel {
  if (isShort(head)) throw new Error(`${head} is a short head, and runs beside the model`);
  return head;
}

/** Every block and the head at the target's precision: the target itself. */
export const targetChoices = (layers: number): ChoiceSet => uniformChoices(layers, "target");

/** The same choice for every block; a skipped model keeps the target's head. */
export const uniformChoices = (layers: number, choice: Kernel | "skip"): ChoiceSet => ({
  blocks: new Array<Choice>(2 * layers).fill(choice),
  head: choice === "skip" ? "target" : choice,
});

/**
 * A choice wherever a block can have it: a span in every attention, and its kernel in the MLPs and the head; a short head, and
 * its kernel in all blocks.
 */
export function everywhere(layers: number, choice: Choice): ChoiceSet {
  const kernel = kernelOf(choice) ?? "skip";
  const { blocks, head } = uniformChoices(layers, kernel);
  if (isShort(choice)) return { blocks, head: choice };
  return { blocks: blocks.map((_, index) => (blockKind(index) === "attn" ? choice : kernel)), head };
}

/** [L] the span of each layer's attention; null: it reads all of the context, or does not run */
export type LayerSpans = readonly (number | null)[];

/** null: no attention of it has a span. */
export function layerSpans({ blocks }: Pick<ChoiceSet, "blocks">): LayerSpans | null {
  if (!blocks.some(isSpanned)) return null;
  return Array.from({ length: blocks.length / 2 }, (_, layer) => spanOf(blocks[blockIndex(layer, "attn")]));
}

const BLOCK_PATTERN = /^(0|[1-9]\d{0,4})\.(attn|mlp)$/;

/**
 * Index of a block written as `12.attn`.
 * @throws BLOCK_UNKNOWN for another spelling or a layer the model does not have
 */
export function parseBlock(name: string, layers: number, at: string): number {
  const match = BLOCK_PATTERN.exec(name);
  if (match === null || Number(match[1]) >= layers) {
    throw new DraftplanError({
      code: "BLOCK_UNKNOWN",
      at,
      what: `'${name.slice(0, 40)}' is not a block of this model`,
      remedy: `Blocks are named 0.attn, 0.mlp, … ${layers - 1}.attn, ${layers - 1}.mlp.`,
    });
  }
  return blockIndex(Number(match[1]), match[2] as BlockKind);
}

/** The compact form of a choice set that plans and calibrations carry. */
export interface Draft {
  /** every block not named below; never the head */
  default: Kernel | "skip";
  head: HeadKernel;
  skip: string[];
  choices: Record<string, Choice>;
}

/**
 * Expands the compact form.
 * @throws BLOCK_UNKNOWN; DOCUMENT_INVALID where a block is named twice, or an MLP is given a span
 */
export function expandDraft(draft: Draft, layers: number, at: string): ChoiceSet {
  const blocks = new Array<Choice>(2 * layers).fill(draft.default);
  const named = new Set<number>();
  const assign = (name: string, choice: Choice, where: string) => {
    const index = parseBlock(name, layers, where);
    if (named.has(index)) {
      throw new DraftplanError({
        code: "DOCUMENT_INVALID",
        at: where,
        what: `block ${name} is named twice`,
        remedy: "Name each block once, either in skip or in choices.",
      });
    }
    if (!suits(choice, blockKind(index))) {
      throw new DraftplanError({
        code: "DOCUMENT_INVALID",
        at: where,
        what: isShort(choice)
          ? `${name} has the short head ${choice}, and only the head has tokens to leave out`
          : `${name} has the span ${choice}, and an MLP reads no context`,
        remedy: `Write ${kernelOf(choice)} there: ${isShort(choice) ? "a short head is for the head alone" : "a span is for attention alone"}.`,
      });
    }
    named.add(index);
    blocks[index] = choice;
  };
  draft.skip.forEach((name, i) => assign(name, "skip", `${at}.skip[${i}]`));
  for (const [name, choice] of Object.entries(draft.choices)) assign(name, choice, `${at}.choices.${name}`);
  return { blocks, head: draft.head };
}

/** The shortest compact form: the commonest kernel without a span is the default, skipped blocks are listed. */
export function compactDraft(set: ChoiceSet): Draft {
  const count = new Map<Choice, number>();
  for (const choice of set.blocks) if (choice !== "skip") count.set(choice, (count.get(choice) ?? 0) + 1);
  let most: Kernel = "target";
  for (const kernel of KERNEL_NAMES) if ((count.get(kernel) ?? 0) > (count.get(most) ?? 0)) most = kernel;
  const skip: string[] = [];
  const choices: Record<string, Choice> = {};
  set.blocks.forEach((choice, index) => {
    if (choice === "skip") skip.push(blockName(index));
    else if (choice !== most) choices[blockName(index)] = choice;
  });
  return { default: most, head: set.head, skip, choices };
}

/** The same choices, a kernel that is the target's own named as the target; the very same object where none is. */
export function inTargetsTerms(choices: ChoiceSet, precision: TargetPrecision): ChoiceSet {
  const own = (choice: Choice): boolean => kernelOf(choice) === precision;
  if (!own(choices.head) && !choices.blocks.some(own)) return choices;
  const named = <C extends Choice>(choice: C): C => (own(choice) ? (ofTarget(choice) as C) : choice);
  return { blocks: choices.blocks.map(named), head: named(choices.head) };
}

/** The same choice in the target's kernel. */
export function ofTarget(choice: Choice): Choice {
  const [span, tokens] = [spanOf(choice), shortOf(choice)];
  return span !== null ? spanned("target", span) : tokens !== null ? shortened("target", tokens) : "target";
}

/** A key that is equal for equal choice sets. */
export const choiceKey = (set: ChoiceSet): string => `${set.head}|${set.blocks.join(",")}`;

/** A block, or the head, of which two drafts make different things. */
export interface ChangedChoice {
  block: string;
  before: Choice;
  after: Choice;
}

/** Every block in order, then the head, whose choice differs. Both are of one model. */
export function changedChoices(before: ChoiceSet, after: ChoiceSet): ChangedChoice[] {
  const blocks = before.blocks.flatMap((choice, i) =>
    choice === after.blocks[i] ? [] : [{ block: blockName(i), before: choice, after: after.blocks[i] }],
  );
  return before.head === after.head ? blocks : [...blocks, { block: "head", before: before.head, after: after.head }];
}

/** `skip 4, int8 20, head int8`: a plan's draft in a line. */
export function describeChoices(set: ChoiceSet): string {
  const parts = orderedChoices(set.blocks).map(
    (choice) => `${choice} ${set.blocks.filter((c) => c === choice).length}`,
  );
  return `${parts.join(", ")}, head ${set.head}`;
}
