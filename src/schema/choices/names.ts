/**
 * What a draft may do with a block, by name: run it in a kernel, leave it out, or, of an attention, run it over a span; and
 * what it may do with the head: run it in a kernel, over all tokens or over those of a text that are most frequent.
 *
 * A span is attention that reads a part of the context. `int8@256` is the kernel int8 over the first SINK_TOKENS tokens, the last
 * 256 before the round, and the round's own. Attention's first tokens are indispensable to it whatever they say (StreamingLLM,
 * arXiv:2309.17453); of SmolLM2-135M, all layers at @256, four of them raise the agreement with the target from 53 to 84 %.
 *
 * A short head computes logits of a part of the vocabulary (FR-Spec, arXiv:2502.14856). `int8:8192` is the kernel int8 over the
 * 8,192 tokens that come first in the calibration's ranking (ranking.ts), and over those of the text so far.
 */
import { DRAFT_KERNELS } from "../../model/kernels/list.js";
import type { DraftKernel, KernelRole } from "../../model/kernels/registry.js";

/** A way to run a block or the head: the target's own, or a kernel of the list (model/kernels/list.ts). */
export type Kernel = KernelRole;
export type QuantisedKernel = DraftKernel;
export const QUANTISED_KERNELS: readonly QuantisedKernel[] = DRAFT_KERNELS.map(({ name }) => name);
export const KERNEL_NAMES: readonly Kernel[] = ["target", ...QUANTISED_KERNELS];

/** An attention in this kernel that reads a span of the context alone: `int8@256`. */
export type SpannedKernel = `${Kernel}@${number}`;

/** What an attention that runs can be. */
export type AttentionKernel = Kernel | SpannedKernel;

/** A head in this kernel over so many tokens of the vocabulary: `int8:8192`. */
export type ShortKernel = `${Kernel}:${number}`;

/** What a head can be. */
export type HeadKernel = Kernel | ShortKernel;

/** What a draft does with a block, or with the head. */
export type Choice = AttentionKernel | HeadKernel | "skip";
/** Those that every block may have; spans of attention and short heads are without number. */
export const CHOICES: readonly (Kernel | "skip")[] = [...KERNEL_NAMES, "skip"];

/** What a draft may do besides running a block as the target does. */
export type DraftChoice = Exclude<Choice, "target">;

export type BlockKind = "attn" | "mlp";

/** First tokens of the text that every span holds. More add nothing (16 and 64 tried). */
export const SINK_TOKENS = 4;
export const LEAST_SPAN = 16;
export const GREATEST_SPAN = 65_536;

/** Tokens of a short head, those of the text aside. */
const LEAST_SHORT = 16;
const GREATEST_SHORT = 1 << 20;

const PATTERN = /^([a-z0-9]+)([@:])([1-9]\d*)$/;

/** The kernel that a choice runs in; null: it runs nothing. */
export function kernelOf(choice: AttentionKernel | HeadKernel): Kernel;
export function kernelOf(choice: Choice): Kernel | null;
export function kernelOf(choice: Choice): Kernel | null {
  if (choice === "skip") return null;
  const at = choice.search(/[@:]/);
  return (at === -1 ? choice : choice.slice(0, at)) as Kernel;
}

/** Tokens before the round that a choice reads besides the first ones; null: all that there are, or none at all. */
export function spanOf(choice: Choice): number | null {
  const at = choice.indexOf("@");
  return at === -1 ? null : Number(choice.slice(at + 1));
}

/** Tokens of the ranking that a head computes; null: it computes all tokens, or is no head. */
export function shortOf(choice: Choice): number | null {
  const at = choice.indexOf(":");
  return at === -1 ? null : Number(choice.slice(at + 1));
}

export const isShort = (choice: Choice): choice is ShortKernel => choice.includes(":");

export const shortened = (kernel: Kernel, tokens: number): ShortKernel => `${kernel}:${tokens}`;

export const isSpanned = (choice: Choice): choice is SpannedKernel => choice.includes("@");

export const spanned = (kernel: Kernel, span: number): SpannedKernel => `${kernel}@${span}`;

/** Tokens of a context that such a span reads. */
export const tokensRead = (span: number | null, contextTokens: number): number =>
  span === null ? contextTokens : Math.min(contextTokens, SINK_TOKENS + span);

/** Whether a choice reads all of such a context: a span that is no shorter is its kernel. */
export const readsAll = (choice: Choice, contextTokens: number): boolean =>
  tokensRead(spanOf(choice), contextTokens) === contextTokens;

/** What is wrong with a text as a choice; null: nothing, and it is one. */
export function choiceFault(text: string): string | null {
  const kernels: readonly string[] = KERNEL_NAMES;
  if (text === "skip" || kernels.includes(text)) return null;
  const [, kernel, sign, count] = PATTERN.exec(text) ?? [];
  const shown = `'${text.slice(0, 40)}'`;
  if (kernel === undefined || !kernels.includes(kernel))
    return `${shown} is none of ${[...KERNEL_NAMES, "skip"].join(", ")}, nor one of the kernels with a span, such as ${KERNEL_NAMES[1]}@512, or with a short head, such as ${KERNEL_NAMES[1]}:8192`;
  const within = (least: number, greatest: number) => Number(count) >= least && Number(count) <= greatest;
  if (sign === "@" && !within(LEAST_SPAN, GREATEST_SPAN))
    return `${shown} is a span of ${count} tokens, and a span has ${LEAST_SPAN} to ${GREATEST_SPAN}`;
  if (sign === ":" && !within(LEAST_SHORT, GREATEST_SHORT))
    return `${shown} is a head over ${count} tokens, and a short head has ${LEAST_SHORT} to ${GREATEST_SHORT}`;
  return null;
}

export const isChoice = (text: unknown): text is Choice => typeof text === "string" && choiceFault(text) === null;

/** Whether a block of this kind can have it. */
export const suits = (choice: Choice, kind: BlockKind): boolean =>
  !isShort(choice) && (kind === "attn" || !isSpanned(choice));

export const isHeadKernel = (choice: Choice): choice is HeadKernel => choice !== "skip" && !isSpanned(choice);

/** Each choice once: kernels as they are listed, each before its spans and then its short heads, the widest first; skip last. */
export function orderedChoices<C extends Choice>(choices: Iterable<C>): C[] {
  const rank = (choice: Choice): number[] => {
    const kernel = kernelOf(choice);
    const place = kernel === null ? KERNEL_NAMES.length : KERNEL_NAMES.indexOf(kernel);
    return [place, isShort(choice) ? 1 : 0, -(spanOf(choice) ?? shortOf(choice) ?? Infinity)];
  };
  return [...new Set(choices)].sort((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    return x[0] - y[0] || x[1] - y[1] || x[2] - y[2];
  });
}

/** Those of these names that are choices of a draft, target aside, in order. */
export const draftChoices = (names: Iterable<string>): DraftChoice[] =>
  orderedChoices([...names].filter((name): name is DraftChoice => isChoice(name) && name !== "target"));

/** What the head can be of these choices, in their order: whatever runs, without spans. */
export const headKernels = (choices: Iterable<Choice>): HeadKernel[] => [
  ...new Set([...choices].flatMap((choice) => (isHeadKernel(choice) ? choice : (kernelOf(choice) ?? [])))),
];

/** Short heads of these choices, each once. */
export const shortHeads = (choices: Iterable<Choice>): ShortKernel[] => orderedChoices([...choices].filter(isShort));
