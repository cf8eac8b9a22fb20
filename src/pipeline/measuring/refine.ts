/**
 * The best measured draft of each context improved by exchanges under a time limit (solve/exchange-search.ts): found on half of
 * the text that plans are chosen on, confirmed on the other half, and only then recorded. The limit decides how much is
 * measured, never what is planned from it.
 */
import { ROUND_TOKENS } from "../../calibrate/calibrate.js";
import type { Continuation } from "../../calibrate/continuation.js";
import { DraftEvidence } from "../../calibrate/whole-drafts.js";
import type { Clock } from "../../runtime/engine.js";
import type { Calibration } from "../../schema/calibration.js";
import type { Choice, ChoiceSet } from "../../schema/choice.js";
import { searchExchanges } from "../../solve/index.js";
import { choosing, type Measuring, measureAlong, problemOf } from "./measuring.js";

/** Chance that anything is accepted, at any context, where no exchange helps. */
const FALSE_ACCEPTS = 0.05;

export interface TimeLimit {
  clock: Clock;
  /** for all contexts and sets of choices together, shared equally; a batch that has begun is finished */
  seconds: number;
}

/** @returns the calibration with accepted exchanges recorded; itself where none was */
export async function refine(
  measuring: Measuring,
  calibration: Calibration,
  { clock, seconds }: TimeLimit,
): Promise<Calibration> {
  const places = measuring.variants.flatMap((choices) =>
    calibration.contexts.map(({ at_context }) => ({ choices, at: at_context })),
  );
  const start = clock.nowUs();
  let grown = calibration;
  for (const [i, place] of places.entries()) {
    // time that a place leaves over goes to those after it
    const left = seconds * 1e6 - (clock.nowUs() - start);
    const deadlineUs = clock.nowUs() + left / (places.length - i);
    const accepted = await refineAt(
      measuring,
      grown,
      place,
      FALSE_ACCEPTS / places.length,
      () => clock.nowUs() >= deadlineUs,
    );
    if (accepted.length > 0) grown = { ...grown, measured: [...grown.measured, ...accepted] };
  }
  return grown;
}

type DraftChoice = Exclude<Choice, "target">;

async function refineAt(
  measuring: Measuring,
  calibration: Calibration,
  { choices, at }: { choices: readonly DraftChoice[]; at: number },
  chance: number,
  timeIsUp: () => boolean,
): Promise<Calibration["measured"]> {
  const [finding, confirming] = halves(measuring.text.continuations.get(at) ?? []);
  if (confirming.length === 0) return [];
  const measureOn = (continuations: readonly Continuation[]) => (sets: readonly ChoiceSet[]) =>
    measureAlong(measuring, continuations, sets);
  const isOwn = measuring.own !== undefined;
  const asMeasured = (record: Calibration["measured"][number]) =>
    isOwn ? { ...record, draft_cache: "own" as const } : record;
  const accepted = await searchExchanges({
    problemWith: (tried) =>
      problemOf(
        { ...measuring, extrapolateTo: undefined },
        { ...calibration, measured: [...calibration.measured, ...tried.map(asMeasured)] },
        choices,
      ),
    at,
    chance,
    finding: measureOn(finding),
    confirming: measureOn(confirming),
    timeIsUp,
  });
  return accepted.map(({ set, found, confirmed }) => {
    const evidence = new DraftEvidence();
    evidence.take(found.evidence);
    evidence.take(confirmed.evidence);
    return choosing(at, set, evidence.curve(ROUND_TOKENS), isOwn);
  });
}

/** Every second text for finding, the others for confirming; of a single text the first and the second half. */
export function halves(texts: readonly Continuation[]): [Continuation[], Continuation[]] {
  const [only] = texts;
  if (texts.length > 1) return [texts.filter((_, i) => i % 2 === 0), texts.filter((_, i) => i % 2 === 1)];
  if (only === undefined || only.ids.length < 4) return [[], []];
  const half = only.ids.length >> 1;
  return [
    [{ ...only, ids: only.ids.slice(0, half + 1) }],
    [{ ...only, prompt: [...only.prompt, ...only.ids.slice(0, half)], ids: only.ids.slice(half) }],
  ];
}
