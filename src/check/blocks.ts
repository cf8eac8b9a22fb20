/** Blocks that drafts name and blocks that calibrations list: each once, and none that the model does not have. */
import { DraftplanError } from "../core/errors.js";
import type { Calibration } from "../schema/calibration.js";
import { type Draft, parseBlock } from "../schema/choice.js";
import { type Finding, finding } from "./findings.js";

/** @param where of the draft, `segments[0].draft` */
export function draftFindings(file: string, draft: Draft, layers: number, where: string): Finding[] {
  const named = new Set<string>();
  const entries = [
    ...draft.skip.map((name, i) => ({ name, at: `${where}.skip[${i}]` })),
    ...Object.keys(draft.choices).map((name) => ({ name, at: `${where}.choices.${name}` })),
  ];
  return entries.flatMap(({ name, at }) => {
    const fault = unknownBlock(name, layers, at);
    if (fault !== null) return [finding("BLOCK_UNKNOWN", file, at, fault)];
    if (named.has(name)) return [finding("BLOCK_DUPLICATE", file, at, `block ${name} is named twice`)];
    named.add(name);
    return [];
  });
}

function unknownBlock(name: string, layers: number, at: string): string | null {
  try {
    parseBlock(name, layers, at);
    return null;
  } catch (error) {
    if (error instanceof DraftplanError) return `${error.what}, which has ${layers} layers`;
    throw error;
  }
}

/** One loss a layer for every choice that a calibration has, and the same choices at every context. */
export function calibrationBlockFindings(file: string, calibration: Calibration): Finding[] {
  const { layers } = calibration.model;
  const kinds = ["attn", "mlp"] as const;
  const choices = ["int8", "skip"] as const;
  return calibration.contexts.flatMap((context, i) =>
    kinds.flatMap((kind) =>
      choices.flatMap((choice) => {
        const where = `contexts[${i}].${kind}.${choice}`;
        const there = context[kind][choice]?.length;
        if (there === layers) return [];
        if (there === undefined) {
          const elsewhere = calibration.contexts.some((other) => kinds.some((k) => other[k][choice] !== undefined));
          return elsewhere ? [finding("BLOCK_MISSING", file, where, "missing here, and measured elsewhere")] : [];
        }
        const code = there < layers ? "BLOCK_MISSING" : "BLOCK_UNKNOWN";
        return [finding(code, file, where, `${there} layers, and the model has ${layers}`)];
      }),
    ),
  );
}
