/**
 * The passes of one round. Where the likeliest tokens are all that a round needs and the model drafts for itself, an engine
 * that can runs them without handing a token over in between (`Engine.greedyRound`); else the drafter proposes, and the
 * target verifies.
 */
import type { Clock } from "../runtime/engine.js";
import type { ChoiceSet } from "../schema/choice.js";
import type { Accept } from "./accept/accept.js";
import { chain, type Drafter, type DraftState, NOTHING, type Proposal } from "./drafters/drafter.js";
import { noDrafter } from "./drafters/none.js";
import { selfChoices } from "./drafters/self.js";
import { propose } from "./proposal.js";
import { type Verified, verify } from "./verification.js";

interface RoundRequest {
  drafter: Drafter;
  /** deepest that its proposal may be; 0: a plain step */
  most: number;
  verifier: ChoiceSet;
  accept: Accept;
  clock: Clock;
  /** when the round began: what was decided since counts as drafting */
  from: number;
}

export interface RoundPasses {
  proposal: Proposal;
  verified: Verified;
  draftUs: number;
  verifyUs: number;
}

/** @throws what the drafter, the engine and `propose` throw */
export function runRound(state: DraftState, request: RoundRequest): RoundPasses {
  const { drafter, most, verifier, accept, clock, from } = request;
  const whole = runWhole(state, request);
  if (whole !== null) return whole;
  const proposal = propose(drafter, state, most);
  const between = clock.nowUs();
  const verified = verify(state, proposal, verifier, accept);
  return { proposal, verified, draftUs: between - from, verifyUs: clock.nowUs() - between };
}

/** @returns null where such a round is run pass by pass */
function runWhole(
  state: DraftState,
  { drafter, most, verifier, accept, clock, from }: RoundRequest,
): RoundPasses | null {
  const { engine, context, pending } = state;
  const draftTokens = drafter === noDrafter ? 0 : most;
  const draft = draftTokens === 0 ? verifier : selfChoices(drafter);
  if (engine.greedyRound === undefined || accept.acceptLikeliest === undefined || draft === null) return null;
  const begun = clock.nowUs();
  const round = engine.greedyRound({ position: context, pending, draft, draftTokens, verifier });
  const took = clock.nowUs() - begun;
  const proposal = draftTokens === 0 ? NOTHING : chain(round.drafted);
  const { path, next } = accept.acceptLikeliest(round.likeliest, proposal);
  const { hiddenSize } = engine.spec;
  const rows = (first: number, count: number) =>
    round.hidden.subarray(first * hiddenSize, (first + count) * hiddenSize);
  const verified: Verified = {
    tokens: [...path.map((node) => proposal.tokens[node]), next],
    states: () => rows(0, path.length + 1),
    get hidden() {
      return rows(path.length, 1);
    },
  };
  const draftUs = begun - from + round.draftShare * took;
  return { proposal, verified, draftUs, verifyUs: (1 - round.draftShare) * took };
}
