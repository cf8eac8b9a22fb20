/** What a step of another model takes, read off the profile: straight lines between the contexts that were timed. */
import { DraftplanError } from "../../core/errors.js";
import type { Kernel } from "../../schema/choice.js";
import type { Profile } from "../../schema/profile.js";
import { modelKey } from "./evidence.js";

/** @throws DRAFTER_UNAVAILABLE where a model was not profiled in a kernel */
export function openModelPrices({
  models = [],
}: Pick<Profile, "models">): (weightsSha256: string, kernel: Kernel, n: number) => number {
  const steps = new Map(models.map((one) => [modelKey(one.weights_sha256, one.kernel), one.steps]));
  return (weightsSha256, kernel, n) => {
    const timed = steps.get(modelKey(weightsSha256, kernel));
    if (timed === undefined) throw unavailable(weightsSha256, kernel);
    const after = timed.findIndex(({ context_tokens }) => context_tokens >= n);
    if (after <= 0) return timed[after === 0 ? 0 : timed.length - 1].us;
    const [a, b] = [timed[after - 1], timed[after]];
    return a.us + ((n - a.context_tokens) / (b.context_tokens - a.context_tokens)) * (b.us - a.us);
  };
}

const unavailable = (sha256: string, kernel: Kernel) =>
  new DraftplanError({
    code: "DRAFTER_UNAVAILABLE",
    at: "profile: models",
    what: `the model ${sha256.slice(0, 12)}… was not profiled in ${kernel}`,
    remedy: "Profile it: draftplan profile MODEL --drafters model:PATH",
  });
