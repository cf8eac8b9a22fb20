/** Where mixtures of experts are computed: asked before anything is converted. */
import { DraftplanError } from "../../core/errors.js";
import type { ModelSpec } from "../../model/spec.js";

/**
 * Experts are `If` branches around the weights of each (model/graph/experts.ts). No graph with branches is captured on a
 * GPU, and every branch would wait there for the router's choice.
 * @param learns whether levels of its matrices' inputs are to be learned for a kernel that is simulated
 * @throws NOT_YET_SUPPORTED
 */
export function requireMixtures(
  path: string,
  { experts }: Pick<ModelSpec, "experts">,
  provider: string,
  learns = false,
): void {
  if (experts === undefined) return;
  if (provider !== "cpu")
    throw new DraftplanError({
      code: "NOT_YET_SUPPORTED",
      at: `${path} on --provider ${provider}`,
      what: "its MLPs are mixtures of experts, which draftplan computes on the CPU alone",
      remedy: "Use --provider cpu.",
    });
  if (learns)
    throw new DraftplanError({
      code: "NOT_YET_SUPPORTED",
      at: `--simulate with ${path}`,
      what: "its MLPs are mixtures of experts, and levels of what goes into an expert are not learned",
      remedy: "Leave --simulate out; drafts in kernels that run are evaluated with --plan PLAN.",
    });
}
