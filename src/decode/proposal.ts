/** What the decoder makes sure of before it runs what a drafter proposes. */
import { type Drafter, type DraftState, NOTHING, type Proposal } from "./drafters/drafter.js";

/**
 * A drafter's proposal, checked.
 * @param draftTokens deepest that it may be
 * @throws Error where it is deeper or has more nodes than there is room for, has a node before its parent, or a token that
 *               the model does not have: the drafter is wrong then, and what its tree was about is not guessed
 */
export function propose(drafter: Drafter, state: DraftState, draftTokens: number): Proposal {
  if (draftTokens <= 0) return NOTHING;
  const proposal = drafter.draft(state, draftTokens);
  const { tokens, parents, distributions } = proposal;
  const wrong = (what: string) => new Error(`drafter ${drafter.key} proposed ${what}`);
  if (tokens.length !== parents.length) throw wrong(`${tokens.length} tokens and ${parents.length} parents`);
  if (distributions !== undefined && distributions.length !== tokens.length)
    throw wrong(`${tokens.length} tokens and ${distributions.length} distributions`);
  const { vocabSize } = state.engine.spec;
  for (const [node, parent] of parents.entries()) {
    if (parent !== null && !(Number.isInteger(parent) && parent >= 0 && parent < node))
      throw wrong(`node ${node} behind node ${parent}: parents come before their children`);
    const token = tokens[node];
    if (!Number.isInteger(token) || token < 0 || token >= vocabSize) throw wrong(`token ${token} of ${vocabSize}`);
  }
  const depth = depthOf(proposal);
  if (depth > draftTokens) throw wrong(`${depth} tokens one behind the other where ${draftTokens} were asked for`);
  if (tokens.length > state.mostNodes) throw wrong(`${tokens.length} nodes where ${state.mostNodes} have room`);
  return proposal;
}

/** Most tokens of it that can be accepted, one behind the other. */
export function depthOf({ parents }: Pick<Proposal, "parents">): number {
  const depths: number[] = [];
  for (const parent of parents) depths.push(parent === null ? 1 : depths[parent] + 1);
  return depths.reduce((most, depth) => Math.max(most, depth), 0);
}

/** Whether every token follows the one before it: then a pass needs neither positions nor a mask of its own. */
export const isChain = ({ parents }: Pick<Proposal, "parents">): boolean =>
  parents.every((parent, node) => parent === (node === 0 ? null : node - 1));
