/** Drafts that an engine has no form for: refused by name, with the command that plans again. */
import { DraftplanError } from "../core/errors.js";
import { architectureOf } from "../model/architectures/registry.js";
import { variationsOf } from "../model/layers.js";
import type { ModelSpec } from "../model/spec.js";
import { blockIndex, blockName, type Choice, type ChoiceSet, isShort, isSpanned } from "../schema/choice.js";
import { mainDrafter } from "../schema/drafter.js";
import type { Exporter, PlannedDraft, Preset } from "./exporter.js";

/**
 * @param where within the segment: `draft.skip`, `drafter`
 * @param what  which block it is, and what the engine lacks
 * @param and   further options for planning again
 */
export const unsupported = (engine: string, { at }: Pick<PlannedDraft, "at">, where: string, what: string, and = "") =>
  new DraftplanError({
    code: "EXPORT_UNSUPPORTED",
    at: `${at}.${where}`,
    what,
    remedy: `Plan again for this engine: draftplan solve --profile FILE --calibration FILE --for ${engine}${and} -o PLAN`,
  });

/** @throws EXPORT_UNSUPPORTED naming segment and block */
export function requirePreset(
  { name, preset, singleBlocks }: Pick<Exporter, "name" | "preset" | "singleBlocks">,
  draft: PlannedDraft,
): void {
  const { kind } = draft.drafter;
  if (!preset.drafters.includes(kind))
    throw unsupported(name, draft, "drafter", `${kind} drafts here, and ${name} has no form for that`);
  requireModelKernel(name, preset, draft);
  if (draft.choices !== null)
    requireChoices(name, singleBlocks ? { kernels: preset.kernels } : preset, draft, draft.choices);
}

/** A draft model's kernel is a block's: an engine that has none runs a model as its checkpoint has it. */
function requireModelKernel(name: string, { kernels }: Preset, draft: PlannedDraft): void {
  const main = mainDrafter(draft.drafter);
  if (main.kind !== "model" || main.kernel === "target" || kernels.includes(main.kernel)) return;
  const own =
    kernels.length === 0 ? `${name} runs a draft model as its checkpoint has it` : `${name} has no such blocks`;
  const where = draft.drafter.kind === "hybrid" ? "drafter.otherwise.kernel" : "drafter.kernel";
  throw unsupported(name, draft, where, `${main.name} drafts in ${main.kernel} here, and ${own}`);
}

/**
 * Blocks that are written down as another engine's must be blocks that it has: those of llama and its near relatives. What
 * else an architecture computes is refused by name, until its form there has been compared.
 * @param name of the engine
 * @throws EXPORT_UNSUPPORTED
 */
export function requireLlamaLike(name: string, draft: PlannedDraft, spec: ModelSpec): void {
  const strange = strangeParts(spec);
  if (strange.length === 0) return;
  throw new DraftplanError({
    code: "EXPORT_UNSUPPORTED",
    at: `${draft.at}.draft`,
    what: `${spec.name} is ${spec.architecture} (${strange.join(", ")}), and a draft of such blocks is not written for ${name}`,
    remedy: `Export to onnxruntime-genai, whose graphs draftplan writes itself, or plan drafts that need no blocks: draftplan solve --profile FILE --calibration FILE --drafters lookup -o PLAN`,
  });
}

const strangeParts = (spec: ModelSpec): string[] => [
  ...variationsOf(spec),
  ...(spec.rope.scaling === null || spec.rope.scaling.type === "llama3" ? [] : [`${spec.rope.scaling.type} positions`]),
  ...(spec.rope.rotatedDim === undefined ? [] : ["partly turned heads"]),
  ...(architectureOf(spec.architecture).fused === undefined ? [] : ["fused projections"]),
];

type Rules = Omit<Preset, "drafters">;

function requireChoices(name: string, preset: Rules, draft: PlannedDraft, { blocks, head }: ChoiceSet): void {
  const refuse = (what: string, and = "") => unsupported(name, draft, "draft", what, and);
  const isKnown = (choice: Choice) =>
    choice === "target" || choice === "skip" || (preset.kernels as readonly string[]).includes(choice);
  const strange = blocks.findIndex((choice) => !isKnown(choice));
  if (strange !== -1) {
    const others = blocks.filter((choice) => !isKnown(choice)).length - 1;
    const which = `block ${blockName(strange)} is ${blocks[strange]}${others === 0 ? "" : ` (and ${others} more)`}`;
    if (isSpanned(blocks[strange]))
      throw refuse(`${which}, and ${name} has no form for attention over the first tokens and the last ones alone`);
    throw refuse(`${which}, and a draft for ${name} has no such blocks`);
  }
  if (isShort(head))
    throw refuse(`the head is ${head}, and ${name} has no form for a head over a part of the vocabulary`);
  if (!isKnown(head)) throw refuse(`the head is ${head}, and a draft for ${name} has no such head`);
  const isSkipped = (block: number) => blocks[block] === "skip";
  const half = blocks.findIndex((_, block) => isSkipped(block) && !isSkipped(block ^ 1));
  if (preset.whole_layers === true && half !== -1)
    throw refuse(
      `${blockName(half)} is skipped and ${blockName(half ^ 1)} is not, and ${name} leaves out whole layers`,
    );
  if (preset.keep_first_attention === true && isSkipped(blockIndex(0, "attn")))
    throw refuse(`0.attn is skipped, and ${name} needs the first layer's attention`);
  if (blocks.every((choice) => choice === "skip"))
    throw refuse(`all blocks are skipped, 0.attn to ${blockName(blocks.length - 1)}: no model is left`, " --keep 0");
}
