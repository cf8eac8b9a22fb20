/** What `--choices` means, and which kernels a command has to load. */

import { DraftplanError } from "../core/errors.js";
import { CHOICES, type Choice, DEFAULT_KERNELS, type Kernel, kernelsFor } from "../schema/choice.js";
import type { Plan } from "../schema/plan.js";

export type DraftChoice = Exclude<Choice, "target">;

/** @throws OPTION_INVALID for a name that is no choice */
export function parseChoices(names: readonly string[]): DraftChoice[] {
  const allowed = CHOICES.filter((choice): choice is DraftChoice => choice !== "target");
  for (const name of names) {
    if ((allowed as string[]).includes(name)) continue;
    throw new DraftplanError({
      code: "OPTION_INVALID",
      at: `--choices ${names.join(",")}`,
      what: `'${name.slice(0, 40)}' is not something a draft can do with a block`,
      remedy: `Use any of: ${allowed.join(",")} (target is always there).`,
    });
  }
  return allowed.filter((choice) => names.includes(choice));
}

/**
 * The kernels that these plans run, target first.
 * @param plans null stands for plain decoding
 * @param also  what is run beside the drafts that they name
 */
export function planKernels(plans: readonly (Plan | null)[], also: readonly string[] = []): Kernel[] {
  const drafts = plans.flatMap((plan) => plan?.segments ?? []).flatMap(({ draft }) => draft ?? []);
  const beside = CHOICES.filter((choice) => also.includes(choice));
  return kernelsFor([
    ...beside,
    ...drafts.flatMap((draft) => [draft.default, draft.head, ...Object.values(draft.choices)]),
  ]);
}

/** Target and the kernels of `--choices`. @throws OPTION_INVALID */
export const measuredKernels = (choices: readonly string[] | undefined): readonly Kernel[] =>
  choices === undefined ? DEFAULT_KERNELS : kernelsFor(parseChoices(choices));
