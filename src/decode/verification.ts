/** One pass of the target over a proposal, and what the cache is afterwards. */

import type { Engine, Pass } from "../runtime/engine.js";
import type { ChoiceSet } from "../schema/choice.js";
import type { Accept, Accepted } from "./accept/accept.js";
import { greedy } from "./accept/greedy.js";
import type { DraftState, Proposal } from "./drafters/drafter.js";
import { isChain } from "./proposal.js";

export interface Verified {
  /** the drafted tokens that stand and the target's own next one */
  tokens: number[];
  /** [tokens, hiddenSize] the target's states of what came to stand in the cache, the pending token first; a view */
  states(): Float32Array;
  /** [hiddenSize] the last of them, where the next token was chosen; a view, valid until the engine's next pass */
  readonly hidden: Float32Array;
}

/**
 * Runs the target over the pending token (row 0) and the drafted ones (row i + 1 is node i). A chain is a pass as any
 * other. A tree's rows see the cache, their ancestors and themselves alone (SpecInfer, arXiv:2305.09781, section 4.2), and
 * the keys and values of the accepted path are moved together afterwards, so that the cache is a plain decoding's.
 */
export function verify(
  { engine, text, context, pending }: Pick<DraftState, "engine" | "text" | "context" | "pending">,
  proposal: Proposal,
  verifier: ChoiceSet,
  accept: Accept = greedy,
): Verified {
  const { hiddenSize } = engine.spec;
  const input = [pending, ...proposal.tokens];
  const parents = [-1, ...proposal.parents.map((parent) => (parent === null ? 0 : parent + 1))];
  const chain = isChain(proposal);
  if (!chain && engine.keepRows === undefined) throw new Error(`this engine of ${engine.spec.name} runs chains alone`);
  const tree = chain ? {} : { parents };
  const pass = { position: context, input, choices: verifier, ...tree };
  const { ran, path, next } = judge(engine, pass, proposal, accept, text);
  requirePath(path, proposal);
  const rows = [0, ...path.map((node) => node + 1)];
  const inPlace = rows.every((row, i) => row === i);
  // the states are the pass's, and keys and values move apart from them
  if (!inPlace) engine.keepRows?.(context, rows);
  const state = (row: number) => ran.hidden.subarray(row * hiddenSize, (row + 1) * hiddenSize);
  return {
    tokens: [...path.map((node) => proposal.tokens[node]), next],
    states: () => (inPlace ? ran.hidden.subarray(0, rows.length * hiddenSize) : joined(rows.map(state), hiddenSize)),
    get hidden() {
      return state(rows[rows.length - 1]);
    },
  };
}

/** Runs the pass and decides what stands; logits are fetched where more than the likeliest token counts. */
function judge(
  engine: Engine,
  pass: Omit<Pass, "logitRows">,
  proposal: Proposal,
  accept: Accept,
  text: readonly number[],
): Accepted & { ran: { readonly hidden: Float32Array } } {
  if (engine.likeliest !== undefined && accept.acceptLikeliest !== undefined) {
    const ran = engine.likeliest(pass);
    return { ran, ...accept.acceptLikeliest(ran.likeliest, proposal) };
  }
  const ran = engine.run({ ...pass, logitRows: proposal.tokens.length + 1 });
  return { ran, ...accept.accept(ran.logits, proposal, engine.spec.vocabSize, text) };
}

function joined(states: readonly Float32Array[], hiddenSize: number): Float32Array {
  const all = new Float32Array(states.length * hiddenSize);
  for (const [i, state] of states.entries()) all.set(state, i * hiddenSize);
  return all;
}

/** @throws Error where what is accepted is no path of the tree: the cache would be of a text that nobody proposed */
function requirePath(path: readonly number[], { parents }: Proposal): void {
  path.forEach((node, i) => {
    if (parents[node] !== (i === 0 ? null : path[i - 1]))
      throw new Error(`accepted nodes ${path.join(", ")} are not one behind the other`);
  });
}
