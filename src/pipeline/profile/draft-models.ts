/** Steps of models that are to draft, timed beside the model that they draft for. */
import { timeDraftSteps } from "../../profile/sweep/draft-steps.js";
import { textTokens } from "../../profile/sweep/tokens.js";
import { systemClock } from "../../runtime/device.js";
import type { LoadedModel } from "../../runtime/load.js";
import type { Kernel } from "../../schema/choice.js";
import type { ModelProfile } from "../../schema/heads-profile.js";
import type { Profile } from "../../schema/profile.js";
import { significant } from "../../stats/numbers.js";
import type { PipelineContext } from "../context.js";
import { type DraftModelFile, withDraftModels } from "../drafting/draft-models.js";

interface StepsRequest {
  contexts: readonly number[];
  kernels: readonly Kernel[];
  /** ids to time them on; undefined: any do */
  text: readonly number[] | undefined;
}

/** @returns what a profile says of them: of none no key, and nothing of one whose context holds none of these */
export async function profileDraftModels(
  { engine }: LoadedModel,
  files: readonly DraftModelFile[],
  { contexts, kernels, text }: StepsRequest,
  context: PipelineContext,
): Promise<Pick<Profile, "models">> {
  const profiled: ModelProfile[] = [];
  for (const file of files)
    await withDraftModels({ files: [file], kernels, capacity: engine.capacity }, context, async ([model]) => {
      for (const kernel of kernels) {
        const tick = () => context.progress.tick();
        const tokens = text && textTokens(text);
        const timed = await timeDraftSteps(engine, model.engine, kernel, contexts, systemClock, tick, tokens);
        const steps = timed.map(({ contextTokens, us, passes }) => ({
          ...{ context_tokens: contextTokens, us: significant(us, 6), passes },
        }));
        const { name, path, weightsSha256 } = model;
        if (steps.length > 0) profiled.push({ name, weights_sha256: weightsSha256, path, kernel, steps });
      }
    });
  return profiled.length === 0 ? {} : { models: profiled };
}
