/** Do a verification's figures follow from each other? From the document alone; no plan is needed. */
import { median } from "simple-statistics";
import { limitsOf } from "../schema/common.js";
import type { Verification } from "../schema/verification.js";
import { ratioInterval } from "../stats/interval.js";
import { sum } from "../stats/numbers.js";
import { agrees, liesWithin, show } from "./figures.js";
import { type Finding, finding } from "./findings.js";

type Wrong = (where: string, message: string) => Finding;

export function figureFindings(file: string, verification: Verification): Finding[] {
  const wrong: Wrong = (where, message) => finding("VERIFICATION_INCONSISTENT", file, where, message);
  return [
    ...speedFindings(verification, wrong),
    ...pairFindings(verification, wrong),
    ...rangeFindings(verification, wrong),
    ...predictionFindings(verification, wrong),
    ...machineFindings(verification, wrong),
    ...acceptanceFindings(verification, wrong),
    ...positionFindings(verification, wrong),
    ...requirementFindings(file, verification, wrong),
  ];
}

/** The least and the greatest of some figures; null where there are none. */
function spanOf(values: readonly (number | null)[]): { low: number; high: number } | null {
  const numbers = values.filter((value) => value !== null);
  return numbers.length === 0 ? null : { low: Math.min(...numbers), high: Math.max(...numbers) };
}

/**
 * The whole is the time of all prompts over the time of all prompts, so it lies between the slowest and the fastest prompt.
 */
function speedFindings(
  { speedup, interval, tokens_per_second: speed, prompts }: Verification,
  wrong: Wrong,
): Finding[] {
  const middle = speedup.median;
  const limits = limitsOf(speedup);
  const found: Finding[] = [];
  if (limits !== null && !(limits.low <= middle && middle <= limits.high))
    found.push(wrong("speedup", `${middle} does not lie in its own interval, ${limits.low} to ${limits.high}`));
  if (!agrees(speed.plan / speed.target, middle)) {
    const message = `${middle}, and tokens_per_second gives ${show(speed.plan / speed.target)}`;
    found.push(wrong("speedup.median", message));
  }
  const timed = prompts.map((prompt) => prompt.speedup).filter((value) => value !== null);
  const span = spanOf(timed);
  if (span === null) return [...found, wrong("speedup", "no prompt has one, so there is none as a whole")];
  // a bootstrap over prompts, as older documents have it, stays within them as well
  const bootstrapped = interval === undefined && limits !== null && timed.length > 1;
  const figures = [["median", middle] as const, ...(bootstrapped ? Object.entries(limits) : [])];
  return [
    ...found,
    ...figures
      .filter(([, value]) => !liesWithin(value, span.low, span.high))
      .map(([key, value]) => {
        const message = `${value}, and the prompts' own lie between ${span.low} and ${span.high}`;
        return wrong(`speedup.${key}`, message);
      }),
  ];
}

interface Timing {
  tokens: number;
  plainUs: number;
  ratio: number;
}

/** As docs/method.md has it: n_p, u_p and r_p of one prompt. */
function timingOf(pairs: NonNullable<Verification["prompts"][number]["pairs"]>): Timing | null {
  if (pairs.length === 0) return null;
  const plain = pairs.map((pair) => pair.target_us / (pair.target_tokens ?? pair.tokens));
  const ratios = pairs.map((pair, k) => plain[k] / (pair.plan_us / pair.tokens));
  return { tokens: pairs[0].tokens, plainUs: median(plain), ratio: median(ratios) };
}

/** Speedups, their interval and tokens per second again, from the times they were made of. */
function pairFindings({ prompts, speedup, interval, tokens_per_second: speed }: Verification, wrong: Wrong): Finding[] {
  const found: Finding[] = [];
  const timings: Timing[] = [];
  for (const [i, { pairs, speedup: said }] of prompts.entries()) {
    if (pairs === undefined) return found;
    const timing = timingOf(pairs);
    if (timing !== null) timings.push(timing);
    const ratio = timing?.ratio ?? null;
    const same = ratio === null || said === null ? ratio === said : agrees(ratio, said);
    if (!same) {
      const message = `${said}, and its pairs give ${ratio === null ? "none" : show(ratio)}`;
      found.push(wrong(`prompts[${i}].speedup`, message));
    }
  }
  if (timings.length === 0) return found;
  const tokens = sum(timings.map((timing) => timing.tokens));
  const plainUs = sum(timings.map((timing) => timing.tokens * timing.plainUs));
  const planUs = sum(timings.map((timing) => (timing.tokens * timing.plainUs) / timing.ratio));
  const figures = [
    { where: "speedup.median", said: speedup.median, given: plainUs / planUs },
    { where: "tokens_per_second.target", said: speed.target, given: (1e6 * tokens) / plainUs },
    { where: "tokens_per_second.plan", said: speed.plan, given: (1e6 * tokens) / planUs },
  ];
  for (const { where, said, given } of figures)
    if (!agrees(said, given)) found.push(wrong(where, `${said}, and the prompts' pairs give ${show(given)}`));
  return interval === undefined ? found : [...found, ...limitFindings(speedup, timings, wrong)];
}

/** The interval again: what `--min-speedup` was decided by cannot be written wider or narrower than its times make it. */
function limitFindings(speedup: Verification["speedup"], timings: readonly Timing[], wrong: Wrong): Finding[] {
  const { limits } = ratioInterval(
    timings.map(({ tokens, plainUs, ratio }) => ({
      numerator: tokens * plainUs,
      denominator: (tokens * plainUs) / ratio,
    })),
  );
  return (["low", "high"] as const).flatMap((key) => {
    const [said, given] = [speedup[key], limits?.[key] ?? null];
    if (said === null || given === null ? said === given : agrees(said, given)) return [];
    const message = `${said}, and the prompts' pairs give ${given === null ? "no interval" : show(given)}`;
    return [wrong(`speedup.${key}`, message)];
  });
}

/** The speedup of a context range, from the two speeds beside it. */
function rangeFindings({ by_context }: Verification, wrong: Wrong): Finding[] {
  return by_context.flatMap((record, i) => {
    const { speedup, target_tokens_per_second: target, measured_tokens_per_second: measured } = record;
    if (speedup === undefined || (speedup === null && target === null)) return [];
    if (speedup !== null && target !== null && agrees(speedup, measured / target)) return [];
    const given = target === null ? "none, as the target has none" : show(measured / target);
    return [wrong(`by_context[${i}].speedup`, `${speedup}, and the speeds beside it give ${given}`)];
  });
}

/** The machine's change as a whole lies between those of the ranges. */
function machineFindings({ machine_change_percent: said, by_context }: Verification, wrong: Wrong): Finding[] {
  if (said === undefined) return [];
  const span = spanOf(
    by_context.map(({ target_tokens_per_second: measured, predicted_target_tokens_per_second: predicted }) =>
      measured === null || predicted === null || predicted === undefined ? null : measured / predicted,
    ),
  );
  const holds = said === null || span === null ? said === span : liesWithin(1 + said / 100, span.low, span.high);
  if (holds) return [];
  const ranges =
    span === null
      ? "no range has one"
      : `the ranges' lie between ${show(100 * (span.low - 1))} and ${show(100 * (span.high - 1))}`;
  return [wrong("machine_change_percent", `${said}, and ${ranges}`)];
}

function predictionFindings(verification: Verification, wrong: Wrong): Finding[] {
  const { predicted_speedup: predicted, prediction_error_percent: error, speedup, prompts } = verification;
  if (predicted === null || error === null) {
    const both = predicted === null && error === null;
    return both ? [] : [wrong("prediction_error_percent", `${error}, and predicted_speedup is ${predicted}`)];
  }
  const found: Finding[] = [];
  const given = 100 * (predicted / speedup.median - 1);
  if (!agrees(error, given, 100)) {
    const message = `${error}, and a prediction of ${predicted} against ${speedup.median} gives ${show(given)}`;
    found.push(wrong("prediction_error_percent", message));
  }
  // a prompt whose contexts the plan leaves to plain decoding counts with 1
  const span = spanOf(prompts.map((prompt) => prompt.predicted_speedup ?? 1));
  if (span !== null && !liesWithin(predicted, span.low, span.high)) {
    const message = `${predicted}, and the prompts' own lie between ${span.low} and ${span.high}`;
    found.push(wrong("predicted_speedup", message));
  }
  return found;
}

/** Means over rounds lie between those of the prompts, and of the context ranges. */
function acceptanceFindings(verification: Verification, wrong: Wrong): Finding[] {
  const { acceptance, acceptance_curve: curve, accepted_length: length, by_context, prompts } = verification;
  if ([acceptance, curve, length].some((value) => value === null)) {
    const all = [acceptance, curve, length].every((value) => value === null);
    return all
      ? []
      : [wrong("acceptance", "acceptance, acceptance_curve and accepted_length: some are null, some not")];
  }
  const means = [
    { key: "acceptance", value: acceptance, of: prompts.map((prompt) => prompt.acceptance), whose: "prompts" },
    { key: "acceptance", value: acceptance, of: by_context.map((range) => range.acceptance), whose: "by_context" },
    {
      key: "accepted_length",
      value: length,
      of: by_context.map((range) => range.accepted_length),
      whose: "by_context",
    },
  ];
  return means.flatMap(({ key, value, of, whose }) => {
    const span = spanOf(of);
    if (value === null || span === null || liesWithin(value, span.low, span.high)) return [];
    return [wrong(key, `${value}, and the values of ${whose} lie between ${span.low} and ${span.high}`)];
  });
}

/** Acceptance again, from the rounds that reached each position and those that passed it. */
function positionFindings(verification: Verification, wrong: Wrong): Finding[] {
  const { by_position: positions, acceptance, accepted_length, acceptance_curve } = verification;
  if (positions === undefined) return [];
  if (positions.length === 0)
    return acceptance === null ? [] : [wrong("by_position", "empty, and an acceptance is recorded")];
  const broken = positions.findIndex(({ position, tried, accepted }, i) => {
    const before = positions[i - 1]?.accepted ?? tried;
    return position !== i + 1 || accepted > tried || tried > before;
  });
  if (broken !== -1)
    return [wrong(`by_position[${broken}]`, "positions go on by 1, and no more tokens are accepted than tried")];
  const [accepted, tried] = [sum(positions.map((p) => p.accepted)), sum(positions.map((p) => p.tried))];
  let chance = 1;
  const curve = positions.map((p) => (chance *= p.tried === 0 ? 0 : p.accepted / p.tried));
  const figures = [
    { where: "acceptance", said: acceptance, given: accepted / tried },
    { where: "accepted_length", said: accepted_length, given: yielded(verification, accepted, positions[0].tried) },
    { where: "acceptance_curve", said: acceptance_curve?.length ?? null, given: positions.length + 1 },
    ...curve.map((given, i) => {
      const where = `acceptance_curve[${i + 1}]`;
      return { where, said: acceptance_curve?.[i + 1] ?? null, given };
    }),
  ];
  return figures
    .filter(({ said, given }) => said === null || !agrees(said, given))
    .slice(0, 3) // one change moves all that follow
    .map(({ where, said, given }) => wrong(where, `${said}, and by_position gives ${show(given)}`));
}

/**
 * Tokens a round yields: those accepted and a bonus. An output that ended before max_tokens did so at an end token, and
 * where a draft had guessed that, its round had no bonus. Which outputs these are is not recorded, only how many at most.
 */
function yielded({ accepted_length: said, prompts, max_tokens }: Verification, accepted: number, rounds: number) {
  const ended = prompts.filter(({ tokens }) => tokens < max_tokens).length;
  const [low, high] = [1 + (accepted - ended) / rounds, 1 + accepted / rounds];
  return said === null ? high : Math.min(high, Math.max(low, said));
}

/** What `verify` was asked to hold: decided again, and reported where it did not hold. */
function requirementFindings(file: string, verification: Verification, wrong: Wrong): Finding[] {
  const { decided, lossless, speedup, interval, acceptance, prediction_error_percent: error } = verification;
  if (decided === undefined) return [];
  const surely = interval === undefined ? speedup.median : speedup.low;
  const { min_speedup, min_acceptance, max_prediction_error_percent: maxError } = decided;
  const held = {
    lossless,
    min_speedup: min_speedup === undefined || (surely !== null && surely >= min_speedup),
    min_acceptance: min_acceptance === undefined || (acceptance !== null && acceptance >= min_acceptance),
    max_prediction_error_percent: maxError === undefined || (error !== null && Math.abs(error) <= maxError),
  };
  return (Object.keys(held) as (keyof typeof held)[]).flatMap((name) => {
    const failed = decided.failed.includes(name);
    const found =
      failed === !held[name] ? [] : [wrong("decided.failed", `${name} ${held[name] ? "holds" : "does not hold"}`)];
    // lossless has a finding of its own
    if (held[name] || name === "lossless") return found;
    return [
      ...found,
      finding("VERIFICATION_FAILED", file, `decided.${name}`, `${decided[name]} was asked for, and did not hold`),
    ];
  });
}
