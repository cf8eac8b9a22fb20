/** Constraints of a plan resolved for one model, and the knapsack under them. Pure. */
import { DraftplanError } from "../core/errors.js";
import {
  blockIndex,
  blockKind,
  type Choice,
  type ChoiceSet,
  isShort,
  kernelOf,
  kernelsFor,
  parseBlock,
  quantisedKernels,
  shortHeads,
} from "../schema/choice.js";
import type { Constraints } from "../schema/constraints.js";
import type { Profile } from "../schema/profile.js";
import type { WeightBytes } from "../schema/weight-bytes.js";
import type { Group } from "./knapsack/group.js";
import { type LimitedGroup, limitedFrontier, type SumLimits } from "./knapsack/limited-frontier.js";
import { type ParetoPoint, paretoFrontier } from "./knapsack/multiple-choice.js";

export const BYTES_PER_MIB = 2 ** 20;

/** Constraints as the solver uses them. */
export interface Limits {
  wholeLayers: boolean;
  /** indices of blocks that are never skipped */
  kept: ReadonlySet<number>;
  /** blocks; null: any number */
  maxSkip: number | null;
  /** null: no limit */
  memory: { mostBytes: number; weightBytes: WeightBytes } | null;
}

export const NO_LIMITS: Limits = { wholeLayers: false, kept: new Set(), maxSkip: null, memory: null };

/** Whether any draft at all is ruled out, beside those that the choices rule out. */
export const hasLimits = ({ wholeLayers, kept, maxSkip, memory }: Limits): boolean =>
  wholeLayers || kept.size > 0 || maxSkip !== null || memory !== null;

/** @throws BLOCK_UNKNOWN for a layer or block to keep that the model lacks; WEIGHT_BYTES_MISSING */
export function resolveConstraints(
  constraints: Constraints | undefined,
  profile: Profile,
  choices: readonly Choice[],
): Limits {
  if (constraints === undefined) return NO_LIMITS;
  const { layers } = profile.model;
  const wholeLayers = constraints.whole_layers === true;
  const named = (constraints.keep ?? []).flatMap((name) => blocksNamed(name, layers));
  if (constraints.keep_first_attention === true) named.push(blockIndex(0, "attn"));
  const kept = new Set(wholeLayers ? named.flatMap((index) => [index, index ^ 1]) : named);
  const mib = constraints.draft_memory_mib;
  const memory = mib === undefined ? null : { mostBytes: mib * BYTES_PER_MIB, weightBytes: bytesFor(profile, choices) };
  return { wholeLayers, kept, maxSkip: constraints.max_skip ?? null, memory };
}

/** `5` is both blocks of layer 5. */
function blocksNamed(name: string, layers: number): number[] {
  if (/^\d+\.(attn|mlp)$/.test(name)) return [parseBlock(name, layers, "--keep")];
  const isLayer = /^(0|[1-9]\d{0,4})$/.test(name);
  const layer = Number(name);
  if (isLayer && layer < layers) return [blockIndex(layer, "attn"), blockIndex(layer, "mlp")];
  throw new DraftplanError({
    code: "BLOCK_UNKNOWN",
    at: "--keep",
    what: isLayer
      ? `there is no layer ${name}: the model has ${layers}, 0 to ${layers - 1}`
      : `'${name}' is neither a layer nor a block`,
    remedy: `List them one by one, with commas: layers from 0 to ${layers - 1} (the last is ${layers - 1}), or blocks such as 0.attn and ${layers - 1}.mlp.`,
  });
}

function bytesFor({ weight_bytes: bytes, model }: Profile, choices: readonly Choice[]): WeightBytes {
  const quantised = quantisedKernels(kernelsFor(choices.filter((choice) => !isShort(choice))));
  const missing: Choice[] = [
    ...quantised.filter(
      (kernel) => ![bytes?.attn, bytes?.mlp, bytes?.head].every((part) => part?.[kernel] !== undefined),
    ),
    ...shortHeads(choices).filter((short) => bytes?.head[short] === undefined),
  ];
  if (missing.length === 0) return bytes ?? { attn: {}, mlp: {}, head: {} };
  throw new DraftplanError({
    code: "WEIGHT_BYTES_MISSING",
    at: "--draft-memory",
    what: `the profile does not say how many bytes a block of ${model.name} takes in ${missing.join(" and ")} (weight_bytes): it was made before that was recorded, or without this kernel`,
    remedy: `Profile again: draftplan profile MODEL --choices ${[...quantised, ...shortHeads(choices)].join(",")} -o FILE; give an imported profile weight_bytes by hand; or leave --draft-memory out.`,
  });
}

/** What a draft needs beyond the target's weights, which it shares. */
export function draftBytes(weightBytes: WeightBytes, { blocks, head }: ChoiceSet): number {
  const ofBlocks = blocks.reduce((sum, choice, index) => sum + bytesOf(weightBytes[blockKind(index)], choice), 0);
  return ofBlocks + bytesOf(weightBytes.head, head);
}

/** A span reads less of the context, and as much of the weights. A short head is a copy of its own, the target's too. */
function bytesOf(part: WeightBytes["head"], choice: Choice): number {
  if (isShort(choice)) return part[choice] ?? 0;
  const kernel = kernelOf(choice);
  return kernel === null || kernel === "target" ? 0 : (part[kernel] ?? 0);
}

export function satisfies({ wholeLayers, kept, maxSkip, memory }: Limits, set: ChoiceSet): boolean {
  const { blocks } = set;
  const skipped = blocks.filter((choice) => choice === "skip").length;
  return (
    (!wholeLayers || blocks.every((choice, index) => choice === blocks[index ^ 1])) &&
    blocks.every((choice, index) => choice !== "skip" || !kept.has(index)) &&
    (maxSkip === null || skipped <= maxSkip) &&
    (memory === null || draftBytes(memory.weightBytes, set) <= memory.mostBytes)
  );
}

/**
 * The groups with whole layers joined (a layer's choice costs and loses what its two blocks do) and kept blocks not
 * skipped. Limits on sums are no matter of single groups (limitedGroups).
 * @param groups one for each block, in block order, and the head's last
 */
export function constrainedGroups({ wholeLayers, kept }: Limits, groups: readonly Group[]): Group[] {
  const offered = groups.map((group, index) =>
    kept.has(index) ? { ...group, choices: group.choices.filter(({ id }) => id !== "skip") } : group,
  );
  if (!wholeLayers) return offered;
  const layers = offered.slice(0, -1).flatMap((attn, index) => {
    if (index % 2 === 1) return [];
    const mlp = offered[index + 1];
    const choices = attn.choices.map((choice, c) => ({
      id: choice.id,
      costUs: choice.costUs + mlp.choices[c].costUs,
      loss: choice.loss + mlp.choices[c].loss,
    }));
    return [{ id: `${index / 2}`, choices }];
  });
  return [...layers, ...offered.slice(-1)];
}

/** A draft's choice in each of the constrained groups. */
export const constrainedIds = ({ wholeLayers }: Limits, { blocks, head }: ChoiceSet): string[] => [
  ...(wholeLayers ? blocks.filter((_, index) => index % 2 === 0) : blocks),
  head,
];

/**
 * The frontier under all constraints; `chosen` is in block order with the head last, whatever the groups.
 * @param groups as for constrainedGroups
 */
export function constrainedFrontier(limits: Limits, groups: readonly Group[]): ParetoPoint[] {
  const allowed = constrainedGroups(limits, groups);
  const { wholeLayers, maxSkip, memory } = limits;
  const points =
    maxSkip === null && memory === null
      ? paretoFrontier(allowed)
      : limitedFrontier(limitedGroups(limits, allowed), sumLimits(limits));
  if (!wholeLayers) return points;
  return points.map((point) => ({
    ...point,
    chosen: [...point.chosen.slice(0, -1).flatMap((id) => [id, id]), ...point.chosen.slice(-1)],
  }));
}

export const sumLimits = ({ maxSkip, memory }: Limits): SumLimits => ({
  skipped: maxSkip,
  bytes: memory?.mostBytes ?? null,
});

/** @param groups those of constrainedGroups */
export function limitedGroups({ wholeLayers, memory }: Limits, groups: readonly Group[]): LimitedGroup[] {
  const bytes = memory?.weightBytes ?? { attn: {}, mlp: {}, head: {} };
  return groups.map((group, g) => {
    const isHead = g === groups.length - 1;
    const parts = isHead ? [bytes.head] : wholeLayers ? [bytes.attn, bytes.mlp] : [bytes[blockKind(g)]];
    return {
      id: group.id,
      choices: group.choices.map((choice) => ({
        ...choice,
        skipped: choice.id === "skip" ? parts.length : 0,
        bytes: parts.reduce((sum, part) => sum + bytesOf(part, choice.id as Choice), 0),
      })),
    };
  });
}
