/** What a plan loses in llama.cpp, said of the draft that was written. */
import { counted } from "../../core/text.js";
import type { Checkpoint } from "../../model/spec.js";
import type { ChoiceSet } from "../../schema/choice.js";
import type { GgufDraft } from "../gguf/draft.js";
import { packLayers } from "../gguf/layers.js";
import type { NgramSettings } from "./usage.js";

export interface DraftFacts {
  draft: GgufDraft;
  choices: ChoiceSet;
  /** of the target's own blocks */
  own: boolean;
  format: Checkpoint["format"];
  /** bytes that a step of the draft reads, by those of a step of the target as MODEL is stored */
  share: number;
}

/** A draft that reads nearly as much as its target cannot be much faster. */
const NEARLY_ALL = 0.9;

export function draftNotes(facts: DraftFacts): string[] {
  return [...formatNotes(facts), ...layerNotes(facts), ...speedNotes(facts)];
}

function formatNotes({ draft: { matrices }, choices, format }: DraftFacts): string[] {
  const asked = [...new Set([...choices.blocks, choices.head])].filter(
    (choice) => choice === "int8" || choice === "int4",
  );
  const computes =
    format === "gguf"
      ? "Blocks that the plan leaves at the target's precision are copied from MODEL as they are stored. llama.cpp computes with them as they are, draftplan with their dequantised weights, so acceptance may differ in a few tokens of a hundred."
      : "Blocks that the plan leaves at the target's precision are stored as MODEL has them.";
  if (asked.length === 0) return [computes];
  const kept =
    matrices.kept === 0
      ? ""
      : ` ${matrices.kept} of these matrices stay as MODEL stores them, since that takes no more bytes already (or their rows are no multiple of 32): they are nearer to the target than the plan has them.`;
  return [
    computes,
    `int8 becomes Q8_0 and int4 becomes Q4_0, which have blocks of 32 codes as the plan's kernels do, with scales in fp16 instead of fp32: ${matrices.converted} matrices were converted.${kept}`,
  ];
}

function layerNotes({ draft, choices }: DraftFacts): string[] {
  const layers = packLayers(choices);
  const notes: string[] = [];
  if (draft.architecture === "deci") {
    const lost = layers.filter(({ mlp }) => mlp === null).length;
    const headless = layers.filter(({ attn }) => attn === null).length;
    const first =
      layers[0].attn === null
        ? "; the first layer keeps one head of zeros, from which llama.cpp takes the size of a head"
        : "";
    notes.push(
      `Layers of which one block is skipped are written in llama.cpp's architecture deci: ${headless} without attention, ${lost} with 32 MLP rows of zeros, since without any llama.cpp would lose the layer's attention as well${first}.`,
    );
  }
  return notes;
}

/** Of a plan for contexts beyond a sliding window. */
export const windowNote = (window: number): string =>
  `llama.cpp lets every token see all before it: it does not know this architecture's window of ${window} tokens, and the plan is for longer contexts, so nothing is predicted.`;

function speedNotes({ share, own }: DraftFacts): string[] {
  if (share < NEARLY_ALL) return [];
  const why = own
    ? "A plan profits from int8 and int4 where its target runs in fp32; where MODEL is quantised already, only skipped blocks make the draft smaller."
    : "It is nearly as large as the target.";
  return [
    `A step of the draft reads ${(100 * share).toFixed(0)} % of the bytes that a step of MODEL reads, so drafting will hardly pay in llama.cpp. ${why}`,
  ];
}

export const lookupNotes = ({ size, draftTokens }: NgramSettings): string[] => [
  `llama.cpp looks for the last ${size} tokens in the text once that has more than ${size + draftTokens + 1} tokens.`,
];

/** @returns why it drafts other tokens than the plan's lookup; null: it does not */
export function otherLookup({ size, draftTokens, planned }: NgramSettings): string | null {
  const { min, max } = planned;
  if (min !== max)
    return `The plan takes the longest match of ${min} to ${max} tokens, llama.cpp's ngram-simple the latest of ${size}: it drafts as often, and its drafts are right less often, so nothing is predicted.`;
  if (draftTokens === planned.draftTokens) return null;
  return `The plan drafts ${counted(planned.draftTokens, "token")}; ngram-simple drops drafts that are shorter than the n-gram, so there they are ${draftTokens}, and nothing is predicted.`;
}
