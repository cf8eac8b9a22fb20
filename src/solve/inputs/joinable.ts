/** Whether a profile and a calibration belong together, and have what is asked for. */
import { DraftplanError } from "../../core/errors.js";
import type { Calibration } from "../../schema/calibration.js";
import {
  type AttentionKernel,
  type Choice,
  type HeadKernel,
  isHeadKernel,
  isShort,
  type Kernel,
} from "../../schema/choice.js";
import type { Profile } from "../../schema/profile.js";

/** @throws DOCUMENT_MISMATCH where they are of other models or numerics */
export function requireJoinable(profile: Profile, calibration: Calibration): void {
  const problem = (what: string, remedy: string) =>
    new DraftplanError({ code: "DOCUMENT_MISMATCH", at: "profile and calibration", what, remedy });
  if (profile.model.architecture_sha256 !== calibration.model.architecture_sha256) {
    throw problem(
      `the profile is of ${profile.model.name}, the calibration of ${calibration.model.name}: their architectures differ`,
      "Give a profile and a calibration of the same model.",
    );
  }
  for (const [kernel, numerics] of Object.entries(calibration.kernels)) {
    const other = profile.kernels[kernel as Kernel];
    if (other !== undefined && other !== numerics) {
      throw problem(
        `${kernel} means '${other}' in the profile and '${numerics}' in the calibration`,
        "Make both with the same version of draftplan.",
      );
    }
  }
}

/** @throws CHOICE_UNAVAILABLE where one of them lacks a choice */
export function requireChoices(profile: Profile, calibration: Calibration, choices: readonly Choice[]): void {
  for (const choice of choices) {
    if (choice === "skip" || choice === "target") continue;
    const { profiled, calibrated } = measuredIn(profile, calibration, choice);
    if (profiled && calibrated) continue;
    const [document, verb] = profiled ? ["calibration", "calibrate"] : ["profile", "profile"];
    const wanted = ["int8", ...choices].filter((name, i, all) => name !== "skip" && all.indexOf(name) === i);
    throw new DraftplanError({
      code: "CHOICE_UNAVAILABLE",
      at: "--choices",
      what: `the ${document} has no ${choice}`,
      remedy: `Leave ${choice} out, or measure it: draftplan ${verb} MODEL --choices ${wanted.join(",")}`,
    });
  }
}

type Running = Exclude<Choice, "skip" | "target">;

function measuredIn(profile: Profile, calibration: Calibration, choice: Running) {
  const [ofBlocks, ofHead] = [!isShort(choice), isHeadKernel(choice)];
  const head = choice as HeadKernel;
  const attn = choice as AttentionKernel;
  return {
    profiled: profile.points.some(
      ({ attn_us, head_us }) => (!ofBlocks || attn_us[attn] !== undefined) && (!ofHead || head_us[head] !== undefined),
    ),
    calibrated: calibration.contexts.every(
      (c) => (!ofBlocks || c.attn[choice]) && (!ofHead || c.head[head]) && (!ofBlocks || !ofHead || c.mlp[choice]),
    ),
  };
}
