/** Drafters of trees that know how the text goes on: right, wrong and half right by design. */
import type { Drafter, DraftState, Proposal } from "../../src/decode/drafters/drafter.js";
import { type Random, seededRandom } from "../../src/stats/random.js";

export interface Grown {
  /** nodes at most */
  nodes: number;
  depth: number;
  /** chance that a node hangs from the latest one: trees are deep, or wide */
  deep: number;
  /** chance that a node is the target's own token, where its parent's path is right */
  right: number;
  /** chance of repeating a sibling's token */
  twice: number;
}

/** The token that the target puts behind a text; null where that is not known. */
export type Next = (text: readonly number[]) => number | null;

/** A tree grown at random behind the pending token, in this shape. */
export function grow(
  { text, mostNodes, engine }: DraftState,
  draftTokens: number,
  shape: Grown,
  next: Next,
  random: Random,
): Proposal {
  const { vocabSize } = engine.spec;
  const tokens: number[] = [];
  const parents: (number | null)[] = [];
  /** [nodes] the text down to each node, null where it is not the target's any more */
  const paths: (number[] | null)[] = [];
  const depths: number[] = [];
  const most = Math.min(shape.nodes, mostNodes);
  while (tokens.length < most) {
    const at = random.float() < shape.deep ? tokens.length : random.index(tokens.length + 1);
    const parent = at === 0 ? null : at - 1;
    const depth = parent === null ? 1 : depths[parent] + 1;
    if (depth > Math.min(draftTokens, shape.depth)) {
      if (shape.deep === 1) break;
      continue;
    }
    const path = parent === null ? [...text] : paths[parent];
    const own = (path === null ? null : next(path)) ?? random.index(vocabSize);
    const siblings = tokens.filter((_, node) => parents[node] === parent);
    const repeat = siblings.length > 0 && random.float() < shape.twice;
    const wrong = (own + 1 + random.index(vocabSize - 1)) % vocabSize;
    const token = repeat ? siblings[random.index(siblings.length)] : random.float() < shape.right ? own : wrong;
    tokens.push(token);
    parents.push(parent);
    depths.push(depth);
    paths.push(path !== null && token === own ? [...path, token] : null);
  }
  return { tokens, parents };
}

/** Grows a tree every round. */
export function growing(shape: Grown, next: Next, seed: number): Drafter {
  const random = seededRandom(seed);
  return {
    key: `growing ${seed}`,
    draft: (state, draftTokens) => grow(state, draftTokens, shape, next, random),
    costUs: () => 0,
  };
}

/**
 * Wrong branches of two or three nodes before the right one, of which the last node is wrong in one round of three: every
 * verdict moves rows, and most end in a rejection.
 */
export function branching(next: Next): Drafter {
  return {
    key: "branching",
    draft({ text, mostNodes, engine }, draftTokens) {
      const length = Math.min(3, draftTokens, Math.floor(mostNodes / 2));
      const { vocabSize } = engine.spec;
      const own: number[] = [];
      while (own.length < length) {
        const token = next([...text, ...own]);
        if (token === null) break;
        own.push(token);
      }
      const wrong = own.map((token, i) => (token + 1 + i) % vocabSize);
      if (text.length % 3 === 0 && own.length > 1) own[own.length - 1] = (own[own.length - 1] + 5) % vocabSize;
      const parents = own.map((_, i) => (i === 0 ? null : i - 1));
      const behind = parents.map((parent) => (parent === null ? null : parent + wrong.length));
      return { tokens: [...wrong, ...own], parents: [...parents, ...behind] };
    },
    costUs: () => 0,
  };
}

/** How the texts of these prompts go on, as far as it was decoded. */
export const knownTexts =
  (texts: readonly (readonly number[])[]): Next =>
  (text) => {
    const known = texts.find((other) => text.length < other.length && text.every((token, i) => other[i] === token));
    return known?.[text.length] ?? null;
  };
