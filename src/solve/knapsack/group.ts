import { DraftplanError } from "../../core/errors.js";

/** One way to run a block: what it costs in the draft and what it loses in acceptance. */
export interface Choice {
  id: string;
  /** µs of one draft step, ≥ 0 */
  costUs: number;
  /** ℓ ≥ 0, this choice's share of −ln α */
  loss: number;
}

/** A block, of which exactly one choice is taken. */
export interface Group {
  id: string;
  choices: Choice[];
}

/** One choice of each group, and what they add up to. */
export interface ParetoPoint {
  /** choice ids in group order */
  chosen: string[];
  /** µs, summed left to right in group order */
  costUs: number;
  /** summed left to right in group order */
  loss: number;
  /** µs; only where costs were rounded up to multiples of it */
  resolutionUs?: number;
}

/** A choice that no other choice of its group dominates. */
export interface Candidate {
  /** position in `group.choices` */
  index: number;
  /** µs; whole multiples of the resolution where costs are rounded */
  costUs: number;
  loss: number;
}

/** The solver stores a choice in 16 bits. */
const MOST_CHOICES = 65_535;

/** Throws GROUP_INVALID for what has no meaning: no choice, a name used twice, a number that is negative or not finite. */
export function validateGroups(groups: readonly Group[]): void {
  const groupIds = new Set<string>();
  let mostUs = 0;
  let mostLoss = 0;
  groups.forEach((group, g) => {
    const at = `groups[${g}] (${group.id})`;
    if (groupIds.has(group.id)) throw invalid(`${at}.id`, "another group has the same id", "name each group once");
    groupIds.add(group.id);
    if (group.choices.length === 0)
      throw invalid(`${at}.choices`, "the group has no choice", "give it one, or leave the group out");
    validateChoices(group.choices, at);
    mostUs += Math.max(...group.choices.map((choice) => choice.costUs));
    mostLoss += Math.max(...group.choices.map((choice) => choice.loss));
  });
  if (!Number.isFinite(mostUs) || !Number.isFinite(mostLoss)) {
    throw invalid(
      "groups",
      "costs or losses add up to more than a number can hold",
      "give costs in µs and losses as −ln α",
    );
  }
}

function validateChoices(choices: readonly Choice[], at: string): void {
  if (choices.length > MOST_CHOICES)
    throw invalid(`${at}.choices`, `${choices.length} choices; at most ${MOST_CHOICES} are possible`, "offer fewer");
  const ids = new Set<string>();
  choices.forEach((choice, c) => {
    const where = `${at}.choices[${c}] (${choice.id})`;
    if (ids.has(choice.id))
      throw invalid(`${where}.id`, "another choice of the group has the same id", "name each choice once");
    ids.add(choice.id);
    for (const key of ["costUs", "loss"] as const) {
      const value = choice[key];
      if (!Number.isFinite(value) || value < 0) {
        throw invalid(
          `${where}.${key}`,
          `${value} is not a finite number ≥ 0`,
          "measure it again, or leave the choice out",
        );
      }
    }
  });
}

function invalid(at: string, what: string, remedy: string): DraftplanError {
  return new DraftplanError({ code: "GROUP_INVALID", at, what, remedy });
}

/**
 * The group's own frontier, by rising cost and strictly falling loss; of equal choices the first.
 * Leaving the others out is exact even in floating point, because rounded addition is monotone:
 * x ≤ y implies fl(x + z) ≤ fl(y + z), so a dominated choice never yields a smaller sum.
 */
export function nonDominated(choices: readonly Choice[]): Candidate[] {
  const sorted = choices
    .map(({ costUs, loss }, index) => ({ index, costUs, loss }))
    .sort((a, b) => a.costUs - b.costUs || a.loss - b.loss || a.index - b.index);
  const kept: Candidate[] = [];
  for (const candidate of sorted) {
    const last = kept.at(-1);
    if (last === undefined || candidate.loss < last.loss) kept.push(candidate);
  }
  return kept;
}

/**
 * More than the difference between two sums of the same items in different orders
 * (Higham, Accuracy and Stability, §4.2: each is within (n − 1)·u·Σ|x| of the true sum, u = 2⁻⁵³).
 */
export function reorderingError(terms: number, largestSum: number): number {
  return 4 * (terms + 1) * Number.EPSILON * largestSum;
}
