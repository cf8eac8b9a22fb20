/** What a plan says and an engine's form of it has no place for, whichever engine it is: a sentence each, for README.md. */
import { counted } from "../core/text.js";
import { kernelOf } from "../schema/choice.js";
import { mainDrafter } from "../schema/drafter.js";
import { lengthsText } from "../schema/length-by-batch.js";
import { isQuantised } from "../schema/numerics.js";
import type { Plan } from "../schema/plan.js";
import type { Exporter, PlannedDraft } from "./exporter.js";
import { isOneLength } from "./servers/by-batch.js";

type Rules = Pick<Exporter, "name" | "lengths" | "takesTargetPrecision">;

export const lostNotes = (exporter: Rules, { device }: Plan, draft: PlannedDraft): string[] => [
  ...batchNotes(exporter, draft),
  ...stopNotes(exporter, draft),
  ...(device?.target === undefined || exporter.takesTargetPrecision === true
    ? []
    : [
        `The plan's target computes in ${device.target}, and ${exporter.name} computes in what MODEL is stored in, or in what it is told: ${losesTarget(exporter, device) ? "its output and its acceptance are others, so nothing is predicted" : "acceptance and times may be others"}.`,
      ]),
  ...(losesFittedScales(device, draft)
    ? [
        `The plan's codes and scales are fitted to a text (--scales fitted), and those written for ${exporter.name} are found by rounding: fewer tokens are accepted than the plan measured, so nothing is predicted.`,
      ]
    : []),
];

/** Whether the plan's target is a quantised one, whose output no engine reproduces that is not written in it. */
export const losesTarget = ({ takesTargetPrecision }: Rules, device: Plan["device"]): boolean =>
  device?.target !== undefined && isQuantised(device.target) && takesTargetPrecision !== true;

/** Whether quantised blocks are written that are not those the plan's figures are of. */
export function losesFittedScales(device: Plan["device"], { choices, drafter }: PlannedDraft): boolean {
  if (device?.scales !== "fitted") return false;
  const main = mainDrafter(drafter);
  const kernels = main.kind === "model" ? [main.kernel] : choices === null ? [] : [...choices.blocks, choices.head];
  return kernels.map(kernelOf).some((kernel) => kernel !== null && kernel !== "target");
}

function batchNotes(
  { name, lengths }: Rules,
  { draftTokens, draftTokensByBatch: steps }: Pick<PlannedDraft, "draftTokens" | "draftTokensByBatch">,
): string[] {
  if (steps === undefined || lengths === "by batch" || isOneLength(draftTokens, steps)) return [];
  const planned = `The plan has a length by sequences at once (${lengthsText(steps)})`;
  return lengths === "alone"
    ? [`${planned}, and ${name} speculates for one sequence at a time.`]
    : [`${planned}, and ${name} drafts ${counted(draftTokens, "token")} whatever their number.`];
}

function stopNotes({ name }: Rules, { segment, draftTokens }: PlannedDraft): string[] {
  const { stop, predicted } = segment;
  if (stop?.rule !== "early") return [];
  const speeds =
    stop.predicted === undefined || predicted === undefined
      ? ""
      : `: by the plan ${predicted.speedup.toFixed(2)} times plain decoding in place of ${stop.predicted.speedup.toFixed(2)}`;
  return [
    `The plan ends a draft early where it is unsure, behind ${counted(stop.draft_tokens, "token")} at most; ${name} has no such rule, and drafts ${counted(draftTokens, "token")} in every round${speeds}.`,
  ];
}
