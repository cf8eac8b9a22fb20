/**
 * Rounds that heads draft: a pass of the heads, then a verification of a tree or of a chain of as many rows, by turns. A
 * tree is priced by such pairs, so whatever slows the machine slows both, and the heads' passes are timed where decoding
 * has them: behind a verification.
 */
import type { Heads, LocatedHeads } from "../../decode/drafters/heads.js";
import { argmax } from "../../runtime/engine.js";
import { targetChoices } from "../../schema/choice.js";
import type { Bench } from "./bench.js";

/** One pass of heads. */
export interface HeadsTime {
  /** which of those that are profiled */
  heads: number;
  /** of the drafted tokens, from 0; null: all heads in one pass */
  depth: number | null;
  rows: number;
  us: number;
}

/** A chain's verification and a tree's, one after the other. */
export interface TreePair {
  context: number;
  query: number;
  chainUs: number;
  /** null: the engine runs no trees */
  treeUs: number | null;
}

export interface HeadsRound {
  pairs: TreePair[];
  passes: HeadsTime[];
}

/** Nodes that Hydra's heads go on from at a depth: a chain's, and those of trees. */
const ROWS = [1, 4, 16];

/** Rows of a binary tree: its cost is that of its mask and positions, whatever its shape. */
const parentsOf = (query: number): number[] =>
  Array.from({ length: query }, (_, row) => (row === 0 ? -1 : (row - 1) >> 1));

/** The path to the last row of such a tree. */
function lastPath(query: number): number[] {
  const path: number[] = [];
  for (let row = query - 1; row >= 0; row = row === 0 ? -1 : (row - 1) >> 1) path.unshift(row);
  return path;
}

/** Both orders occur as often, and which of the heads runs before which pass changes from round to round. */
export async function visitHeads(
  bench: Bench,
  located: readonly LocatedHeads[],
  context: number,
  queries: readonly number[],
  round: number,
  tick: () => Promise<void>,
): Promise<HeadsRound> {
  const { engine } = bench;
  const found: HeadsRound = { pairs: [], passes: [] };
  const state = new Float32Array(engine.spec.hiddenSize).fill(0.5);
  for (const { heads } of located) if (context > 0) heads.states?.(0, new Float32Array(context * state.length));
  const several = queries.filter((q) => q > 1);
  const trees = engine.keepRows !== undefined && several.length > 0;
  let slot = round;
  const draft = () => {
    if (located.length === 0) return; // trees alone are timed
    const index = slot % located.length;
    const rows = ROWS[Math.floor(slot / located.length) % ROWS.length];
    found.passes.push(...timeHeads(bench, located[index].heads, { index, rows, context, state }));
    slot++;
  };
  for (const [i, query] of (several.length > 0 ? several : [1]).entries()) {
    verify(bench, context, query, false); // the heads come behind a verification, as in decoding
    const us: { chain?: number; tree?: number } = {};
    const turns = trees ? (["chain", "tree"] as const) : (["chain"] as const);
    for (const form of (round + i) % 2 === 0 ? turns : turns.toReversed()) {
      await tick();
      draft();
      us[form] = verify(bench, context, query, form === "tree");
    }
    found.pairs.push({ context, query, chainUs: us.chain as number, treeUs: us.tree ?? null });
  }
  return found;
}

/** One verification as decoding has it, the choice of tokens and the moving of an accepted path together with it. */
function verify({ engine, clock, tokens }: Bench, context: number, query: number, isTree: boolean): number {
  const pass = {
    ...{ position: context, input: tokens.next(query), choices: targetChoices(engine.spec.layers), logitRows: query },
    ...(isTree ? { parents: parentsOf(query) } : {}),
  };
  const path = lastPath(query);
  const from = clock.nowUs();
  const { logits } = engine.run(pass);
  for (let row = 0; row < query; row++) argmax(logits, row, engine.spec.vocabSize);
  if (isTree && path.length < query) engine.keepRows?.(context, path);
  return clock.nowUs() - from;
}

/** @param draft which heads, nodes gone on from at every depth behind the first, tokens in the cache, and a hidden state */
function timeHeads(
  { clock, ids }: Bench,
  heads: Heads,
  draft: { index: number; rows: number; context: number; state: Float32Array },
): HeadsTime[] {
  const { index, context, state } = draft;
  const timed = (depth: number | null, rows: number, run: () => void): HeadsTime => {
    const from = clock.nowUs();
    run();
    return { heads: index, depth, rows, us: clock.nowUs() - from };
  };
  const { guessAll } = heads;
  if (guessAll !== undefined) return [timed(null, 1, () => guessAll.call(heads, state))];
  return Array.from({ length: heads.heads }, (_, depth) => {
    const rows = depth === 0 ? 1 : draft.rows;
    const hidden = new Float32Array(rows * state.length).fill(0.5);
    const path = Int32Array.from({ length: rows * (depth + 1) }, (_, i) => ids[i % ids.length]);
    return timed(depth, rows, () => {
      if (depth === 0) heads.states?.(context, state);
      heads.guess(hidden, depth, path);
    });
  });
}
