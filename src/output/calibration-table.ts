/** A calibration on a terminal. */
import type { Sureness } from "../pipeline/calibrate.js";
import type { Calibration } from "../schema/calibration.js";
import {
  BLOCK_KINDS,
  blockIndex,
  blockName,
  type Choice,
  isSpanned,
  KERNEL_NAMES,
  orderedChoices,
  type QuantisedKernel,
  quantisedKernels,
  shortHeads,
} from "../schema/choice.js";
import { drawTable, TABLE_COLUMNS } from "./table.js";

/** Cheapest and dearest blocks to skip at each context, and what the quantised kernels lose in all, and spans in every attention and short heads. */
export function calibrationTable(calibration: Calibration, columns = TABLE_COLUMNS): string {
  const kernels = quantisedKernels(KERNEL_NAMES).filter((kernel) => calibration.kernels[kernel] !== undefined);
  const spans = orderedChoices(calibration.contexts.flatMap(({ attn }) => Object.keys(attn) as Choice[])).filter(
    isSpanned,
  );
  const shorts = shortHeads(calibration.contexts.flatMap(({ head }) => Object.keys(head) as Choice[]));
  const head = [
    ...["context", "cheapest skips", "dearest skips"],
    ...kernels.flatMap((kernel) => [`${kernel} blocks`, `${kernel} head`]),
    ...spans,
    ...shorts,
  ];
  const rows = calibration.contexts.map((record) => {
    const skips = BLOCK_KINDS.flatMap((kind) =>
      (record[kind].skip ?? []).map(({ loss }, layer) => ({ name: blockName(blockIndex(layer, kind)), loss })),
    ).sort((a, b) => a.loss - b.loss);
    const show = (list: typeof skips) => list.map(({ name, loss }) => `${name} ${keep(loss)}`).join("\n");
    const blocks = (kernel: QuantisedKernel) =>
      BLOCK_KINDS.flatMap((kind) => record[kind][kernel] ?? []).reduce((sum, { loss }) => sum + loss, 0);
    return [
      record.at_context,
      show(skips.slice(0, 4)),
      show(skips.slice(-3).reverse()),
      ...kernels.flatMap((kernel) => [keep(blocks(kernel)), keep(record.head[kernel]?.loss ?? 0)]),
      ...spans.map((span) => keep((record.attn[span] ?? []).reduce((sum, { loss }) => sum + loss, 0))),
      ...shorts.map((short) => keep(record.head[short]?.loss ?? 0)),
    ];
  });
  return `Tokens still accepted when only this differs from the target:\n${drawTable({ head, rows }, columns)}`;
}

const keep = (loss: number): string => `${(100 * Math.exp(-loss)).toFixed(1)} %`;

/** `int8 throughout, 128 tokens: a round's tokens are known within 0.9 % (one standard error, 640 positions)` */
export function surenessLines(sureness: readonly Sureness[]): string[] {
  return sureness.map(({ contextTokens, kernel, error, positions }) => {
    const known =
      error === null ? "too few prompts to say how surely" : `within ${(100 * error).toFixed(1)} %, one standard error`;
    return `Drafts all in ${kernel} at ${contextTokens} tokens: tokens of a round known from ${positions} positions, ${known}`;
  });
}
