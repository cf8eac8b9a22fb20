/** `--budget` and `--precision`: how long a sweep may take, and how precise it has to be. */
import { DraftplanError } from "../../core/errors.js";

const SECONDS = { ms: 0.001, s: 1, m: 60, h: 3600 } as const;
const MAX_SECONDS = 86_400;

/**
 * `60s`, `2m`, `1.5h`, `500ms`; a bare number is in seconds.
 * @returns seconds
 * @throws OPTION_INVALID for anything else, and for more than a day
 */
export function parseBudget(text: string): number {
  const [, number, unit = "s"] = /^(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)?$/.exec(text.trim()) ?? [];
  const seconds = Number(number) * SECONDS[unit as keyof typeof SECONDS];
  if (!(seconds > 0 && seconds <= MAX_SECONDS))
    throw invalid("--budget", text, "it must be a time above 0, a day at most", "Write --budget 60s, 2m or 90.");
  return seconds;
}

/** `1%` or `1`. @returns percent @throws OPTION_INVALID */
export function parsePrecision(text: string): number {
  const [, number] = /^(\d{1,3}(?:\.\d{1,6})?)\s*%?$/.exec(text.trim()) ?? [];
  const percent = Number(number);
  if (!(percent > 0 && percent <= 100))
    throw invalid("--precision", text, "it must be a percentage above 0", "Write --precision 1%.");
  return percent;
}

const invalid = (option: string, text: string, what: string, remedy: string) =>
  new DraftplanError({ code: "OPTION_INVALID", at: `${option} ${text.slice(0, 40)}`, what, remedy });
