/**
 * A draft as a strip of 2L blocks: a column for each layer, attention above and MLP below, and the head at the end. Every
 * cell says its choice by a sign as well as by colour. Layers stand in tens, which wrap where there is little room.
 */
import {
  CHOICES,
  type Choice,
  type ChoiceSet,
  isShort,
  isSpanned,
  KERNELS,
  kernelOf,
  orderedChoices,
  SINK_TOKENS,
  spanOf,
} from "../../schema/choice.js";
import { type Html, html } from "../html.js";

/** A kernel's sign is its width in bits, so that a further kernel needs no entry here; with a span it has an @ behind it, over a part of the vocabulary a colon. */
function choiceSign(choice: Choice): string {
  const kernel = kernelOf(choice);
  if (kernel === null) return "×";
  const { bits } = KERNELS[kernel];
  const sign = bits === null ? "T" : String(bits);
  return isSpanned(choice) ? `${sign}@` : isShort(choice) ? `${sign}:` : sign;
}

const look = (choice: Choice): string => {
  const kernel = kernelOf(choice);
  return kernel === null ? "skip" : String(Object.keys(KERNELS).indexOf(kernel));
};

const cell = (choice: Choice): Html => html`<span class="cell choice-${look(choice)}">${choiceSign(choice)}</span>`;

const TEN = 10;

/** @param alternative what the strip shows, in words */
export function strip({ blocks, head }: ChoiceSet, alternative: string): Html {
  const layers = blocks.length / 2;
  const tens = Array.from({ length: Math.ceil(layers / TEN) }, (_, i) => i * TEN);
  return html`<div class="strip" role="img" aria-label="${alternative}">${tens.map((first) =>
    layerGroup(blocks, first, Math.min(first + TEN, layers)),
  )}<span class="group"><span class="column"><span>head</span>${cell(head)}</span></span></div>`;
}

function layerGroup(blocks: readonly Choice[], from: number, to: number): Html {
  const columns = Array.from({ length: to - from }, (_, i) => from + i).map(
    (layer) =>
      html`<span class="column"><span>${layer}</span>${cell(blocks[2 * layer])}${cell(blocks[2 * layer + 1])}</span>`,
  );
  return html`<span class="group"><span class="column names"><span>layer</span><span>attn</span><span>mlp</span></span>${columns}</span>`;
}

/** What the signs mean; of spans those that are there. */
export const stripLegend = (shown: Iterable<Choice> = []): Html =>
  html`<ul class="legend">${orderedChoices([...CHOICES, ...shown]).map((choice) => html`<li>${cell(choice)} ${choice} (${meaning(choice)})</li>`)}</ul>`;

function meaning(choice: Choice): string {
  const kernel = kernelOf(choice);
  if (kernel === null) return "left out";
  const { bits } = KERNELS[kernel];
  const width = bits === null ? "unchanged" : `${bits} bits`;
  const span = spanOf(choice);
  return span === null ? width : `${width}, attention over the first ${SINK_TOKENS} tokens and the last ${span}`;
}
