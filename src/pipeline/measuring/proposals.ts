/** Drafts that a method proposes, measured as the knapsack's are. */
import { ROUND_TOKENS } from "../../calibrate/calibrate.js";
import { measureDrafts } from "../../calibrate/whole-drafts.js";
import { METHODS, type MethodName, type MethodRequest } from "../../methods/index.js";
import type { Calibration } from "../../schema/calibration.js";
import { choiceKey } from "../../schema/choice.js";
import { bestDraftLength, curveFromRate, openProblem } from "../../solve/index.js";
import { choosing, type Measuring } from "./measuring.js";

const SEED = 1;

/**
 * The calibration with the method's drafts in the place of all that was measured before.
 * @param calibration what it was made of besides stays: losses and text
 */
export async function measureProposals(
  method: MethodName,
  { model, profile, extrapolateTo, text, progress }: Measuring,
  calibration: Calibration,
): Promise<Calibration> {
  const { latency, maxDraft } = openProblem({ profile, calibration, choices: ["skip"], extrapolateTo });
  const within = (n: number) => Math.min(n, latency.contextTokens.to);
  const request: MethodRequest = {
    engine: model.engine,
    latency: {
      blockUs: (index, choice, n, q) => latency.blockUs(index, choice, within(n), q),
      draftUs: (set, n) => latency.draftUs(set, within(n)),
    },
    speed: (set, n, alpha) =>
      bestDraftLength({
        draftUs: latency.draftUs(set, within(n)),
        verifyUs: (d) => latency.verifyUs(within(n), d),
        roundUs: latency.roundUs,
        curve: (d) => curveFromRate(alpha, d),
        maxDraft,
      }).tokensPerSecond,
    contexts: calibration.contexts.map(({ at_context: atContext }) => ({
      atContext,
      continuations: text.continuations.get(atContext) ?? [],
    })),
    progress,
    seed: SEED,
  };
  const proposals = await METHODS[method](request);
  const measured: Calibration["measured"] = [];
  for (const { atContext, continuations } of request.contexts) {
    const own = proposals.filter((proposal) => proposal.atContext === atContext).map(({ set }) => set);
    const sets = [...new Map(own.map((set) => [choiceKey(set), set])).values()];
    if (sets.length === 0 || continuations.length === 0) continue;
    const curves = await measureDrafts(model.engine, continuations, sets, ROUND_TOKENS, progress);
    sets.forEach((set, i) => {
      measured.push(choosing(atContext, set, curves[i]));
    });
  }
  return { ...calibration, method, measured };
}
