/** `--extrapolate`: how far costs are drawn on beyond a profile, and how documents that rest on that are shown. */
import { DraftplanError } from "../core/errors.js";
import type { Progress } from "../core/progress.js";
import type { Loaded } from "../schema/document.js";
import type { Profile } from "../schema/profile.js";
import { extrapolatedRange } from "../solve/index.js";

/**
 * @param asked a context in tokens; true: as far as the model was made for
 * @returns the context to draw costs on to; undefined: the profile is enough, or nothing was asked
 * @throws OPTION_INVALID where the model's limit is not known, CONTEXT_LIMIT where it is exceeded
 */
export function extrapolationOf(
  asked: number | true | undefined,
  { document: profile, path }: Pick<Loaded<Profile>, "document" | "path">,
  progress: Pick<Progress, "warn">,
): number | undefined {
  if (asked === undefined) return undefined;
  const limit = profile.context_limit_tokens;
  const last = profile.grid.context_tokens[profile.grid.context_tokens.length - 1];
  const to = asked === true ? limit : asked;
  if (to === undefined) {
    throw new DraftplanError({
      code: "OPTION_INVALID",
      at: "--extrapolate",
      what: `${path} does not say how many tokens the model was made for`,
      remedy: `Say how far to go, in tokens: --extrapolate ${2 * Math.max(1, last)}`,
    });
  }
  if (limit !== undefined && to > limit) {
    throw new DraftplanError({
      code: "CONTEXT_LIMIT",
      at: `--extrapolate ${to}`,
      what: `${profile.model.name} was made for ${limit} tokens`,
      remedy: `Go no further: --extrapolate ${limit}`,
    });
  }
  if (extrapolatedRange(profile, to) !== undefined) return to;
  progress.warn("NOTHING_EXTRAPOLATED", `${path} reaches to ${last} tokens of context, so all of ${to} was profiled`);
  return undefined;
}
