/** Drafts that an engine has no form for: refused by name, with the command that plans again. */
import { DraftplanError } from "../core/errors.js";
import { blockIndex, blockLayer, blockName, type ChoiceSet } from "../schema/choice.js";
import type { Exporter, PlannedDraft, Preset } from "./exporter.js";

/**
 * @param where within the segment: `draft.skip`, `drafter`
 * @param what  which block it is, and what the engine lacks
 */
export const unsupported = (engine: string, { at }: Pick<PlannedDraft, "at">, where: string, what: string) =>
  new DraftplanError({
    code: "EXPORT_UNSUPPORTED",
    at: `${at}.${where}`,
    what,
    remedy: `Plan again for this engine: draftplan solve --profile FILE --calibration FILE --for ${engine} -o PLAN`,
  });

/** @throws EXPORT_UNSUPPORTED naming segment and block */
export function requirePreset({ name, preset }: Pick<Exporter, "name" | "preset">, draft: PlannedDraft): void {
  const { kind } = draft.drafter;
  if (!preset.drafters.includes(kind))
    throw unsupported(name, draft, "drafter", `${kind} drafts here, and ${name} has no form for that`);
  if (draft.choices !== null) requireChoices(name, preset, draft, draft.choices);
}

function requireChoices(name: string, preset: Preset, draft: PlannedDraft, { blocks, head }: ChoiceSet): void {
  const refuse = (what: string) => unsupported(name, draft, "draft", what);
  const known = ["target", "skip", ...preset.kernels];
  const strange = blocks.findIndex((choice) => !known.includes(choice));
  if (strange !== -1) {
    const others = blocks.filter((choice) => !known.includes(choice)).length - 1;
    const more = others === 0 ? "" : ` (and ${others} more)`;
    throw refuse(
      `block ${blockName(strange)} is ${blocks[strange]}${more}, and ${name} runs a draft's blocks without that`,
    );
  }
  if (!known.includes(head)) throw refuse(`the head is ${head}, and ${name} runs a draft's head without that`);
  if (preset.whole_layers === true) {
    const half = blocks.findIndex((choice, i) => (choice === "skip") !== (blocks[i ^ 1] === "skip"));
    if (half !== -1) {
      const [skipped, kept] = blocks[half] === "skip" ? [half, half ^ 1] : [half ^ 1, half];
      const layer = blockLayer(half);
      throw refuse(
        `${blockName(skipped)} is skipped without ${blockName(kept)}, and ${name} leaves out whole layers only (layer ${layer})`,
      );
    }
  }
  if (preset.keep_first_attention === true && blocks[blockIndex(0, "attn")] === "skip")
    throw refuse(`0.attn is skipped, and ${name} needs the first layer's attention`);
  if (blocks.every((choice) => choice === "skip"))
    throw refuse(
      `every block is skipped, ${blockName(0)} to ${blockName(blocks.length - 1)}, and a draft without layers is no model`,
    );
}
