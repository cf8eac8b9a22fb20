/** Do a segment's predicted figures follow from each other? From its parts alone; no input is needed. */
import { draftSteps, type Plan, type Predicted, type Segment } from "../schema/plan.js";
import { sum } from "../stats/numbers.js";
import { agrees, ROUNDING, show } from "./figures.js";
import { type Finding, finding } from "./findings.js";

/**
 * What the curve and the times of a prediction give:
 *
 *     accepted_length   = Σ_{i=0..d} a_i
 *     acceptance        = Σ_{i=1..d} a_i / Σ_{i=0..d-1} a_i
 *     tokens_per_second = 10⁶ · accepted_length / (drafting + verify + round),  drafting d · draft, of heads draft itself,
 *                         and with a cache of the draft's own accepted_length · prompt / answer_tokens more
 *     speedup           = tokens_per_second · target_step / 10⁶
 *
 * @param answerTokens tokens that share the draft's reading of the prompt
 * @param steps draft steps of a round: the draft length, or 1 where heads draft a whole round in draft_us
 */
function derived(p: Predicted, steps: number, answerTokens: number) {
  // where a lookup drafts the curve is over all rounds: how much was drafted in them it does not say
  const tokens = sum(p.acceptance_curve);
  const readingUs = (tokens * (p.prompt_us ?? 0)) / answerTokens;
  const tokensPerSecond = (1e6 * tokens) / (steps * p.draft_us + p.verify_us + p.round_us + readingUs);
  return {
    accepted_length: tokens,
    acceptance: p.match_rate === undefined ? (tokens - 1) / sum(p.acceptance_curve.slice(0, -1)) : p.acceptance,
    tokens_per_second: tokensPerSecond,
    speedup: (tokensPerSecond * p.target_step_us) / 1e6,
  };
}

const SAYS = {
  accepted_length: "the acceptance curve gives",
  acceptance: "the acceptance curve gives",
  tokens_per_second: "curve, draft length and times give",
  speedup: "tokens per second and the target's step give",
} as const;

export function predictedFindings(file: string, plan: Plan): Finding[] {
  return plan.segments.flatMap((segment, i) => segmentFindings(file, plan, segment, `segments[${i}].predicted`));
}

function segmentFindings(file: string, { answer_tokens = 1 }: Plan, segment: Segment, where: string): Finding[] {
  const { predicted, draft_tokens: d, context_tokens: range } = segment;
  if (predicted === undefined || d === undefined) return [];
  const wrong = (key: string, message: string) => finding("PREDICTED_INCONSISTENT", file, `${where}.${key}`, message);
  const at = predicted.at_context;
  const lossy = lossFindings(file, predicted, where);
  // the last profiled context ends the last range, and belongs to it
  const found =
    at < range.from || at > range.to
      ? [wrong("at_context", `${at} tokens lie outside the segment, ${range.from} to ${range.to}`)]
      : [];
  const interval = predicted.speedup_interval;
  if (interval !== undefined && interval.low > interval.high)
    found.push(wrong("speedup_interval", `${interval.low} to ${interval.high} is no interval`));
  const length = predicted.acceptance_curve.length;
  const { drafter } = segment;
  const early = stopFindings(file, segment, where.replace(/predicted$/, "stop.predicted"), answer_tokens);
  const longest = drafter?.kind === "hybrid" ? Math.max(d, drafter.lookup.draft_tokens ?? d) : d;
  if (length !== longest + 1) {
    const message = `${length} values, and ${longest} drafted tokens have ${longest + 1}: a_0 to a_${longest}`;
    return [...lossy, ...found, wrong("acceptance_curve", message), ...early];
  }
  const expected = derived(predicted, draftSteps({ drafter: segment.drafter, draft_tokens: d }), answer_tokens);
  const keys = Object.keys(SAYS) as (keyof typeof SAYS)[];
  const differing = keys.filter((key) => !agrees(predicted[key], expected[key]));
  return [
    ...lossy,
    ...found,
    ...differing.map((key) => wrong(key, `${predicted[key]}, and ${SAYS[key]} ${show(expected[key])}`)),
    ...early,
  ];
}

const STOP_SAYS = {
  accepted_length: "the acceptance curve gives",
  mean_draft_tokens: "the shares of the lengths give",
  tokens_per_second: "accepted length and the round's time give",
  speedup: "tokens per second and the target's step give",
} as const;

/** What a draft that ends early is predicted to reach: of its mean round, as of one of a fixed length. */
function stopFindings(file: string, { stop, predicted }: Segment, where: string, answerTokens: number): Finding[] {
  const early = stop?.predicted;
  if (early === undefined || predicted === undefined) return [];
  const tokens = sum(early.acceptance_curve);
  const readingUs = (tokens * (predicted.prompt_us ?? 0)) / answerTokens;
  const tokensPerSecond = (1e6 * tokens) / (early.round_us + readingUs);
  const expected = {
    accepted_length: tokens,
    mean_draft_tokens: sum(early.draft_lengths.map((share, i) => share * (i + 1))),
    tokens_per_second: tokensPerSecond,
    speedup: (tokensPerSecond * predicted.target_step_us) / 1e6,
  };
  const keys = Object.keys(STOP_SAYS) as (keyof typeof STOP_SAYS)[];
  return keys
    .filter((key) => !agrees(early[key], expected[key]))
    .map((key) => {
      const message = `${early[key]}, and ${STOP_SAYS[key]} ${show(expected[key])}`;
      return finding("PREDICTED_INCONSISTENT", file, `${where}.${key}`, message);
    });
}

/** Where drafting is predicted to be slower than plain decoding: at the context of the prediction, and along the segment. */
function lossFindings(file: string, { at_context, speedup, along = [] }: Predicted, where: string): Finding[] {
  const places = [
    { key: "speedup", context: at_context, speedup },
    ...along.map((point, i) => ({
      key: `along[${i}].speedup`,
      context: point.context_tokens,
      speedup: point.speedup,
    })),
  ];
  const worst = places.reduce((a, b) => (b.speedup < a.speedup ? b : a));
  if (worst.speedup >= 1 - ROUNDING) return [];
  const message = `it drafts, and at ${worst.context} tokens of context predicts ${show(worst.speedup)} times plain decoding, which is faster`;
  return [finding("PREDICTED_LOSS", file, `${where}.${worst.key}`, message)];
}
