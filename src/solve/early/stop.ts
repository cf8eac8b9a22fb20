/** Fixed or early: what a segment's draft gains by ending where it is unsure, and which of the two the plan does. */
import type { Stop, StopPredicted } from "../../schema/stop/stop.js";
import { loopUs, type SolvedDrafter } from "../drafter.js";
import type { Known } from "../drafting/known.js";
import type { Option } from "../drafting/option.js";
import { knownOf } from "../evidence.js";
import { speedBy } from "../gain.js";
import type { LatencyModel } from "../latency.js";
import { digits, speedFigures } from "../predict.js";
import { contextFor, type Problem, supportedLength } from "../problem.js";
import { bestRule } from "./best-rule.js";
import { draftedLengths, earlySpeed, meanRoundUs, meanTokens, type RoundCosts, ruleOf } from "./lengths.js";
import { guessesOf, scaleOf } from "./scale.js";

/** An early stop has to be predicted this many times as fast as the fixed length, or it is left: the simpler of two that cannot be told apart. */
const LEAST_GAIN = 1.01;

/** µs of the parts of a round whose drafts' confidence is read; null where that has no price. */
function earlyCosts(latency: LatencyModel, n: number, drafter: SolvedDrafter): RoundCosts | null {
  const { confidenceUs } = latency;
  if (confidenceUs === null) return null;
  const common = { verifyUs: (d: number) => latency.verifyUs(n, d), roundUs: loopUs(latency, n, drafter) };
  if (drafter.kind === "self") {
    const { set } = drafter;
    return { ...common, tokenUs: latency.draftUs(set, n) + confidenceUs, perTokenUs: latency.readingUs(set, n) };
  }
  if (drafter.kind !== "model") return null;
  return { ...common, tokenUs: latency.modelUs(drafter.weightsSha256, drafter.kernel, n) + confidenceUs };
}

/**
 * @param contexts profiled contexts of the segment
 * @param at       the one that its predictions are for
 * @returns undefined where nothing is known of the draft's confidence, or of what it takes to read it
 */
export function stopOf(
  problem: Problem,
  contexts: readonly number[],
  at: number,
  option: Option,
): Pick<Stop, keyof Stop> | undefined {
  const costs = earlyCosts(problem.latency, at, option.drafter);
  const known = evidenceOf(problem, at, "choose", option);
  if (costs === null || known === null) return undefined;
  const most = Math.min(problem.maxDraft, supportedLength({ ...known, reached: known.reached }));
  if (most < 2) return undefined;
  const confidence = scaleOf(known.confidence);
  const values = confidence.map(({ acceptance }) => acceptance);
  const { rule } = bestRule(values, guessesOf(confidence, known.confidence, known.curve, most), costs, most);
  const stop = { draft_tokens: rule.most, confidence, go_on_from: [...rule.goOnFrom] };
  // a rule that ends no draft is a longer fixed length, which was weighed as one
  const ends = rule.goOnFrom.some((from) => from > 0);
  const pays = ends && contexts.every((n) => paysAt(problem, n, option, stop));
  return { rule: pays ? "early" : "fixed", ...stop, ...predictedOf(problem, contexts, at, option, stop) };
}

type Table = Pick<Stop, "draft_tokens" | "confidence" | "go_on_from">;
type Evidence = Known & { confidence: NonNullable<Known["confidence"]> };

/** What a part of the text says of a draft and its confidence; null where it says nothing of either. */
function evidenceOf(problem: Problem, n: number, part: "choose" | "report", option: Option): Evidence | null {
  const { drafter } = option;
  // of another model rounds of any length are known, of own blocks the curve that was measured, whatever its length
  const draftTokens = drafter.kind === "model" && part === "choose" ? problem.maxDraft : option.draftTokens;
  const known = knownOf(contextFor(problem, n), part, { drafter, draftTokens });
  return known?.confidence === undefined ? null : { ...known, confidence: known.confidence };
}

/** Early over fixed, by one part of the text; null where it says nothing. */
function gainBy(problem: Problem, n: number, part: "choose" | "report", option: Option, stop: Table): number | null {
  const known = evidenceOf(problem, n, part, option);
  const costs = earlyCosts(problem.latency, n, option.drafter);
  if (known === null || costs === null) return null;
  const fixed = speedBy(problem.latency, n, option.drafter, { curve: known.curve.slice(0, option.draftTokens + 1) });
  return earlySpeed(draftedBy(known, withTail(problem, n, option, known.curve), stop), costs) / fixed;
}

/** Decided on one part of the text and confirmed on the other. */
function paysAt(problem: Problem, n: number, option: Option, stop: Table): boolean {
  const chosen = gainBy(problem, n, "choose", option, stop);
  const reported = gainBy(problem, n, "report", option, stop) ?? 1;
  return chosen !== null && chosen >= LEAST_GAIN && reported >= 1;
}

const draftedBy = (known: Evidence, curve: readonly number[], stop: Table) =>
  draftedLengths(
    ruleOf(stop),
    stop.confidence.map(({ acceptance }) => acceptance),
    guessesOf(stop.confidence, known.confidence, curve, stop.draft_tokens),
  );

/** A curve measured to the fixed length alone, gone on with at the rates of the text of choosing. */
function withTail(problem: Problem, n: number, option: Option, curve: readonly number[]): number[] {
  const longer = evidenceOf(problem, n, "choose", option)?.curve ?? [];
  const gone = [...curve];
  for (let i = curve.length; i < longer.length; i++)
    gone.push(gone[i - 1] * (longer[i - 1] === 0 ? 0 : longer[i] / longer[i - 1]));
  return gone;
}

function predictedOf(
  problem: Problem,
  contexts: readonly number[],
  at: number,
  option: Option,
  stop: Table,
): { predicted: StopPredicted } | Record<string, never> {
  const { latency } = problem;
  const speedAt = (n: number) => {
    const known = evidenceOf(problem, n, "report", option) ?? evidenceOf(problem, n, "choose", option);
    const costs = earlyCosts(latency, n, option.drafter);
    if (known === null || costs === null) return null;
    const drafted = draftedBy(known, withTail(problem, n, option, known.curve), stop);
    return { drafted, costs, ...speedFigures(latency, n, earlySpeed(drafted, costs)) };
  };
  const here = speedAt(at);
  const along = contexts.map((n) => ({ n, found: speedAt(n) }));
  if (here === null) return {};
  const { drafted, costs, tokens_per_second, speedup } = here;
  const told = along.flatMap(({ n, found }) =>
    found === null ? [] : [{ context_tokens: n, tokens_per_second: found.tokens_per_second, speedup: found.speedup }],
  );
  return {
    predicted: {
      accepted_length: digits(meanTokens(drafted)),
      mean_draft_tokens: digits(drafted.lengths.reduce((sum, share, i) => sum + share * (i + 1), 0)),
      draft_lengths: drafted.lengths.map((share) => digits(Math.max(0, share))),
      acceptance_curve: drafted.curve.map(digits),
      confidence_us: digits(latency.confidenceUs ?? 0),
      round_us: digits(meanRoundUs(drafted, costs)),
      tokens_per_second,
      speedup,
      ...(told.length < 2 ? {} : { along: told }),
    },
  };
}
