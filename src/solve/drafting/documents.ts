/** What the two documents know of lookups and other models. */
import type { Calibration } from "../../schema/calibration.js";
import type { Kernel } from "../../schema/choice.js";
import type { Constraints } from "../../schema/constraints.js";
import type { Profile } from "../../schema/profile.js";
import { type GuessedText, modelKey } from "./evidence.js";

/** A model in one kernel. */
export interface KnownModel {
  name: string;
  weightsSha256: string;
  path: string;
  kernel: Kernel;
}

/** Models whose hits and whose steps were both measured, in kernels that a plan may have. */
export const modelsOfBoth = (profile: Profile, calibration: Calibration, constraints?: Constraints): KnownModel[] =>
  (calibration.models ?? [])
    .filter(({ kernel }) => constraints?.model_kernels?.includes(kernel) !== false)
    .filter(({ weights_sha256, kernel }) =>
      profile.models?.some((other) => other.weights_sha256 === weights_sha256 && other.kernel === kernel),
    )
    .map(({ name, weights_sha256: weightsSha256, path, kernel }) => ({ name, weightsSha256, path, kernel }));

/** The text of the context nearest to this one, by the ratio of contexts; of equal ones the longer. */
export function guessedAt(
  { lookup, models = [] }: Calibration,
  context: number,
): Partial<Record<"choose" | "report", GuessedText>> {
  const distance = (at: number) => Math.abs(Math.log((at + 1) / (context + 1)));
  const nearest = <T extends { at_context: number; part: string }>(all: readonly T[], part: string): T | null => {
    const measured = all.filter((one) => one.part === part);
    if (measured.length === 0) return null;
    return measured.reduce((a, b) => (distance(b.at_context) <= distance(a.at_context) ? b : a));
  };
  return Object.fromEntries(
    (["choose", "report"] as const).flatMap((part) => {
      const looked = lookup === undefined ? null : nearest(lookup.contexts, part);
      const known = models.flatMap(({ weights_sha256, kernel, contexts }) => {
        const text = nearest(contexts, part);
        return text === null ? [] : [[modelKey(weights_sha256, kernel), text] as const];
      });
      return looked === null && known.length === 0 ? [] : [[part, { lookup: looked, models: new Map(known) }]];
    }),
  );
}
