/** How tokens are drawn, as `--temperature` and the options beside it say. Refused before anything is read. */
import { DraftplanError } from "../core/errors.js";
import { draws, type Filters } from "../schema/sampling.js";
import { freshSeed } from "../stats/random.js";

/** The options of sampling; those left out are off. */
export interface SamplingOptions {
  temperature?: number | undefined;
  topK?: number | undefined;
  topP?: number | undefined;
  minP?: number | undefined;
  repetitionPenalty?: number | undefined;
  seed?: number | undefined;
  count?: number | undefined;
}

export interface SamplingRequest {
  filters: Filters;
  /** null: greedily, and no chance has a part in it */
  seed: number | null;
  /** undefined: not asked for */
  count?: number | undefined;
}

/**
 * Greedy unless a temperature, top-k, top-p or min-p is named; one of the filters without a temperature draws at 1. A seed
 * that is not named is drawn here.
 * @throws OPTION_INVALID for a filter that leaves no token, a temperature or a seed out of range; USAGE for several greedy continuations
 */
export function samplingOf(options: SamplingOptions): SamplingRequest {
  const filters = filtersOf(options);
  const { count = 1 } = options;
  if (!(Number.isInteger(count) && count >= 1))
    throw invalid("--count", `${count} continuations`, "a whole number from 1");
  requireSeed(options.seed, count);
  if (draws(filters)) return { filters, seed: options.seed ?? freshSeed(), count: options.count };
  if (count > 1) throw severalGreedy(count);
  return { filters, seed: null, count: options.count };
}

function filtersOf({ temperature, topK, topP, minP, repetitionPenalty }: SamplingOptions): Filters {
  if (temperature !== undefined && !(temperature >= 0 && Number.isFinite(temperature)))
    throw invalid("--temperature", `${temperature} is no temperature`, "a number from 0, such as 0.7; 0 is greedy");
  if (topK !== undefined && !(Number.isSafeInteger(topK) && topK >= 1))
    throw invalid("--top-k", `${topK} leaves no token`, "a whole number from 1, or leave it out");
  if (topP !== undefined && !(topP > 0 && topP <= 1))
    throw invalid(
      "--top-p",
      topP <= 0 ? `${topP} leaves no token` : `${topP} is no share`,
      "a number above 0, up to 1",
    );
  if (minP !== undefined && !(minP >= 0 && minP <= 1))
    throw invalid("--min-p", minP > 1 ? `${minP} leaves no token` : `${minP} is no share`, "a number from 0 to 1");
  if (repetitionPenalty !== undefined && !(repetitionPenalty > 0 && Number.isFinite(repetitionPenalty)))
    throw invalid(
      "--repetition-penalty",
      `${repetitionPenalty} is no factor`,
      "a number above 0, such as 1.1; 1 is none",
    );
  const filter = topK !== undefined || topP !== undefined || minP !== undefined;
  return {
    ...(repetitionPenalty === undefined ? {} : { repetition_penalty: repetitionPenalty }),
    temperature: temperature ?? (filter ? 1 : 0),
    ...(topK === undefined ? {} : { top_k: topK }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(minP === undefined ? {} : { min_p: minP }),
  };
}

/** The last continuation's seed is a number too. */
function requireSeed(seed: number | undefined, count: number): void {
  if (seed === undefined) return;
  if (!(Number.isSafeInteger(seed) && seed >= 0))
    throw invalid("--seed", `${seed} is no seed`, `a whole number from 0 to ${Number.MAX_SAFE_INTEGER} (2^53 - 1)`);
  if (seed <= Number.MAX_SAFE_INTEGER - (count - 1)) return;
  throw invalid(
    "--seed",
    `the seed of the last of ${count} continuations would be beyond 2^53 - 1`,
    `one up to ${Number.MAX_SAFE_INTEGER - count + 1}`,
  );
}

const invalid = (at: string, what: string, possible: string) =>
  new DraftplanError({ code: "OPTION_INVALID", at, what, remedy: `Give ${possible}.` });

const severalGreedy = (count: number) =>
  new DraftplanError({
    code: "USAGE",
    at: `--count ${count}`,
    what: "greedy decoding gives the same continuation every time",
    remedy: "Give a temperature as well, such as --temperature 0.7, or leave --count out.",
  });
