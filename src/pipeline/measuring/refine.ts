/**
 * The best measured draft of each context improved by exchanges under a time limit. An exchange is accepted where it is
 * measured faster beyond noise at the positions that the incumbent was measured at, and only then recorded: of hundreds
 * that were tried, the luckiest would otherwise be planned. The limit decides how much is measured, never what is
 * planned from it.
 */
import { ROUND_TOKENS } from "../../calibrate/calibrate.js";
import { type MeasuredPositions, measureDrafts } from "../../calibrate/whole-drafts.js";
import type { Clock } from "../../runtime/engine.js";
import type { Calibration } from "../../schema/calibration.js";
import { type Choice, type ChoiceSet, choiceKey } from "../../schema/choice.js";
import {
  contextFor,
  exchanges,
  fitSurrogate,
  isFasterBeyondNoise,
  measuredSpeed,
  openProblem,
  type Problem,
} from "../../solve/index.js";
import { choosing, type Measuring } from "./measuring.js";

/** Exchanges measured between two looks at the clock: filling the cache costs as much as some of them. */
const BATCH = 6;
/** An exchange that is expected to lose this share or more is not tried. */
const LEAST_GAIN = -0.01;

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
    const accepted = await refineAt(measuring, grown, place, () => clock.nowUs() >= deadlineUs);
    if (accepted.length > 0) grown = { ...grown, measured: [...grown.measured, ...accepted] };
  }
  return grown;
}

type DraftChoice = Exclude<Choice, "target">;

async function refineAt(
  { model, profile, constraints, text, progress }: Measuring,
  calibration: Calibration,
  { choices, at }: { choices: readonly DraftChoice[]; at: number },
  timeIsUp: () => boolean,
): Promise<Calibration["measured"]> {
  const continuations = text.continuations.get(at) ?? [];
  const accepted: Calibration["measured"] = [];
  /** tried and not accepted: the surrogate learns from them, the calibration does not keep them */
  const rejected: Calibration["measured"] = [];
  const seen = new Map<string, MeasuredPositions>();
  let incumbent: ChoiceSet | null = null;
  while (!timeIsUp() && continuations.length > 0) {
    const known = { ...calibration, measured: [...calibration.measured, ...accepted, ...rejected] };
    const problem = openProblem({ profile, calibration: known, choices, constraints });
    const n = nearestContext(problem, at);
    incumbent ??= bestMeasured(problem, n);
    if (n === null || incumbent === null) break;
    const from: ChoiceSet = incumbent;
    const wanted = batchAt(problem, n, from);
    if (wanted.length === 0) break;
    const sets = seen.has(choiceKey(from)) ? wanted : [from, ...wanted];
    const found = await measureDrafts(model.engine, continuations, sets, ROUND_TOKENS, progress);
    sets.forEach((set, i) => {
      seen.set(choiceKey(set), found[i]);
    });
    const draftOf = (set: ChoiceSet) => ({ set, ...(seen.get(choiceKey(set)) as MeasuredPositions) });
    const faster = wanted
      .map(draftOf)
      .filter((draft) => isFasterBeyondNoise(problem, n, draft, draftOf(from)))
      .sort((a, b) => measuredSpeed(problem, n, b) - measuredSpeed(problem, n, a));
    for (const set of wanted) if (set !== faster[0]?.set) rejected.push(choosing(at, set, draftOf(set)));
    if (faster.length === 0) continue;
    accepted.push(choosing(at, faster[0].set, faster[0]));
    incumbent = faster[0].set;
  }
  return accepted;
}

/** The most promising exchanges that are not measured yet. */
function batchAt(problem: Problem, n: number, incumbent: ChoiceSet): ChoiceSet[] {
  const context = contextFor(problem, n);
  const known = new Set(context.measured.filter((m) => m.part === "choose").map((m) => m.key));
  return exchanges(problem, n, fitSurrogate(context), incumbent, known)
    .filter(({ gain }) => gain > LEAST_GAIN)
    .slice(0, BATCH)
    .map(({ set }) => set);
}

/** The profiled context nearest in ratio to a calibrated one, of those it stands for. */
function nearestContext(problem: Problem, at: number): number | null {
  const own = problem.gridContexts.filter((n) => contextFor(problem, n).losses.at_context === at);
  const distance = (n: number) => Math.abs(Math.log(Math.max(1, n) / Math.max(1, at)));
  return own.length === 0 ? null : own.reduce((a, b) => (distance(b) < distance(a) ? b : a));
}

function bestMeasured(problem: Problem, n: number | null): ChoiceSet | null {
  if (n === null) return null;
  const measured = contextFor(problem, n).measured.filter((m) => m.part === "choose");
  if (measured.length === 0) return null;
  return measured.reduce((a, b) => (measuredSpeed(problem, n, b) > measuredSpeed(problem, n, a) ? b : a)).set;
}
