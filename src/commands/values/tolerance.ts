/** `--tolerance 5%` */
import { DraftplanError } from "../../core/errors.js";

const DEFAULT_TOLERANCE = "5%";

/** `5%` -> 5. @throws OPTION_INVALID */
export function tolerancePercent(text: string = DEFAULT_TOLERANCE): number {
  const percent = /^\d{1,3}(\.\d{1,6})?%$/.test(text) ? Number(text.slice(0, -1)) : Number.NaN;
  if (percent < 100) return percent;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `--tolerance ${text}`,
    what: "a tolerance is a percentage from 0% to below 100%",
    remedy: "Write it with its sign: --tolerance 5%",
  });
}
