/** The frontier's best drafts measured on the model: what `solve --model` and `run` add to a calibration. */
import { type ContextPrompts, samplingAt } from "../../calibrate/calibrate.js";
import { ContinuedPrompts } from "../../calibrate/continuation.js";
import { measureByDrafting } from "../../calibrate/real-drafting.js";
import { DraftEvidence, type MeasuredCurve } from "../../calibrate/whole-drafts.js";
import { OwnCache } from "../../decode/drafters/own-cache.js";
import { standaloneDrafter } from "../../decode/drafters/standalone.js";
import { systemClock } from "../../runtime/device.js";
import type { Calibration } from "../../schema/calibration.js";
import { type Choice, type ChoiceSet, choiceKey, compactDraft } from "../../schema/choice.js";
import { proposals, unconfirmedDrafts } from "../../solve/index.js";
import { ChoosingEvidence } from "./evidence.js";
import { type Measuring, measureAlong, problemOf } from "./measuring.js";
import { refine } from "./refine.js";

type DraftChoice = Exclude<Choice, "target">;

/** Rounds of measuring and solving again; the last changes nothing in practice. */
const MAX_ROUNDS = 4;

/**
 * Measures what plans are chosen from (measureChoosing), then the plans' own drafts on text they were not chosen on.
 * @param refineSeconds time for exchanges; 0: none
 * @returns the calibration with everything measured in it
 */
export async function measureCandidates(
  measuring: Measuring,
  calibration: Calibration,
  refineSeconds = 0,
): Promise<Calibration> {
  let grown = await measureChoosing(measuring, calibration, refineSeconds);
  for (const choices of measuring.variants) grown = await measureReport(measuring, grown, choices);
  return grown;
}

/**
 * Measures the frontier's best drafts, corrects the surrogate by them and solves again until nothing better is expected;
 * improves the best by exchanges.
 */
export async function measureChoosing(
  measuring: Measuring,
  calibration: Calibration,
  refineSeconds = 0,
): Promise<Calibration> {
  const evidence = new ChoosingEvidence(measuring);
  let grown = await measureFrontier(measuring, evidence, calibration, true);
  if (refineSeconds > 0) {
    const refined = await refine(measuring, grown, { clock: systemClock, seconds: refineSeconds });
    // what one context accepted is measured at the others too, or it could not be planned across them
    grown = refined === grown ? grown : await measureFrontier(measuring, evidence, refined, false);
  }
  return measuring.precision === undefined ? grown : evidence.sharpen(grown, measuring.precision);
}

/** @param first whether points around the best are wanted too */
async function measureFrontier(
  measuring: Measuring,
  evidence: ChoosingEvidence,
  calibration: Calibration,
  first: boolean,
): Promise<Calibration> {
  let grown = calibration;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const problems = measuring.variants.map((choices) => problemOf(measuring, grown, choices));
    const found: Calibration["measured"] = [];
    for (const [index, { losses }] of problems[0].contexts.entries()) {
      const at = losses.at_context;
      const wanted = problems.flatMap((problem) => proposals(problem, problem.contexts[index], first && round === 0));
      const sets = [...new Map(wanted.map((set) => [choiceKey(set), set])).values()];
      if (sets.length === 0) continue;
      found.push(...(await evidence.measure(at, sets)));
    }
    if (found.length === 0) break;
    grown = { ...grown, measured: [...grown.measured, ...found] };
  }
  return grown;
}

/** Drafts measured on text kept back, one after another, for one plan: its own, and those that follow where it is refuted. */
const MOST_REPORTS = 16;

/**
 * Measures on text kept back whatever the plan rests on there, until that refutes nothing more. When the time is up, nothing is
 * tried in the place of what was refuted: plain decoding takes it, as where all that follows is refuted too.
 */
export async function measureReport(
  measuring: Measuring,
  calibration: Calibration,
  choices: readonly DraftChoice[],
): Promise<Calibration> {
  let grown = calibration;
  for (let reports = 0; reports < MOST_REPORTS; reports++) {
    const problem = problemOf(measuring, grown, choices);
    const next = unconfirmedDrafts(problem).find(({ follows }) => !follows || !isTimeUp(measuring));
    if (next === undefined) break;
    const measured = [...grown.measured];
    for (const { losses } of next.contexts) {
      const at = losses.at_context;
      const prompts = measuring.text.prompts.find(({ atContext }) => atContext === at);
      const trial = { choices: next.set, draftTokens: next.draftTokens };
      const cache = measuring.own === undefined ? {} : { draft_cache: "own" as const };
      const found = await reportCurve(measuring, calibration.text.temperature, prompts, trial);
      measured.push({ at_context: at, part: "report", draft: compactDraft(next.set), ...cache, ...found });
    }
    grown = { ...grown, measured };
  }
  return grown;
}

const isTimeUp = ({ precision }: Measuring): boolean =>
  precision !== undefined && precision.clock.nowUs() >= precision.reportUntilUs;

/** By real drafting; where acceptance is for sampling, as an expectation over text that the target sampled. */
async function reportCurve(
  measuring: Measuring,
  temperature: number | undefined,
  at: ContextPrompts | undefined,
  draft: { choices: ChoiceSet; draftTokens: number },
): Promise<MeasuredCurve> {
  const { model, own, text, precision, progress } = measuring;
  const { report: prompts = [], kinds } = at ?? {};
  const tokens = text.continuationTokens;
  const sampling = samplingAt(temperature);
  const isEnough = (known: { tokens: number; error: () => number | null }): boolean => {
    if (precision === undefined || known.tokens < precision.positions) return false;
    return (known.error() ?? 1) <= precision.error || isTimeUp(measuring);
  };
  const { choices, draftTokens } = draft;
  const request =
    own === undefined ? draft : { drafter: standaloneDrafter(choices, new OwnCache(own.engine)), draftTokens };
  if (sampling === null)
    return measureByDrafting(model.engine, systemClock, prompts, request, tokens, progress, isEnough, kinds?.report);
  const continued = new ContinuedPrompts(model.engine, systemClock, prompts, tokens, sampling, kinds?.report);
  const evidence = new DraftEvidence();
  for (;;) {
    const made = await continued.next(progress);
    if (made === null) break;
    const [found] = await measureAlong(measuring, [made], [choices], true, draftTokens);
    evidence.take(found.evidence);
    if (isEnough({ tokens: evidence.positions.length, error: () => evidence.error(draftTokens) })) break;
  }
  return evidence.curve(draftTokens);
}
