/** Trained heads in a profile and a calibration, in lines of text. */
import { counted } from "../core/text.js";
import type { HeadsCalibration, HeadsContext } from "../schema/heads-calibration.js";
import type { HeadsProfile, TreePass } from "../schema/heads-profile.js";
import type { Profile } from "../schema/profile.js";
import { treeRounds } from "../stats/tree-rounds.js";

const micro = (us: number): string => `${us.toFixed(us < 100 ? 1 : 0)} µs`;

/** What drafting with heads takes, and what a tree adds to a verification; nothing where no heads were profiled. */
export function headsCostLines({ heads = [], tree_passes = [] }: Profile): string[] {
  return [...heads.map(passesLine), ...treeLines(tree_passes)];
}

/** `heads (medusa, 4 tokens ahead, 10 ranks): 112 µs a round`; Hydra's by depth and nodes */
function passesLine({ kind, heads, ranks, passes }: HeadsProfile): string {
  const name = `heads (${kind}, ${counted(heads, "token")} ahead, ${counted(ranks, "rank")})`;
  const [whole] = passes.filter(({ depth }) => depth === undefined);
  if (whole !== undefined) return `${name}: ${micro(whole.us)} a round`;
  const depths = [...new Set(passes.map(({ depth }) => depth))].map((depth) => {
    const rows = passes.filter((pass) => pass.depth === depth);
    const all = rows.map(({ us, rows: nodes }) =>
      rows.length === 1 ? micro(us) : `${micro(us)} for ${counted(nodes, "node")}`,
    );
    return all.join(", ");
  });
  return `${name}, depth by depth: ${depths.join("; ")}`;
}

/** `a tree's verification takes 1.01 to 1.03 times a chain's of as many rows at 64 tokens of context, …` */
function treeLines(passes: readonly TreePass[]): string[] {
  if (passes.length === 0) return [];
  const contexts = [...new Set(passes.map(({ context_tokens }) => context_tokens))].map((n) => {
    const times = passes.filter(({ context_tokens }) => context_tokens === n).map(({ times_chain }) => times_chain);
    const [low, high] = [Math.min(...times), Math.max(...times)].map((value) => value.toFixed(2));
    return `${low === high ? low : `${low} to ${high}`} at ${counted(n, "token")} of context`;
  });
  return [`a tree's verification over a chain's of as many rows: ${contexts.join(", ")}`];
}

/** What heads are worth on the text: a chain of their first guesses, and at most what all that they list would give. */
export function headsAccuracyLines(all: readonly HeadsCalibration[] = []): string[] {
  return all.flatMap(({ kind, heads, ranks, contexts }) => [
    `Heads (${kind}, ${counted(heads, "token")} ahead), tokens of a round on the text that is chosen on:`,
    ...contexts
      .filter(({ part }) => part === "choose")
      .map((context) => {
        const chain = Array.from({ length: heads }, (_, i) => new Array<number>(i + 1).fill(0));
        const [first, most] = [meanRound(context, chain), meanRound(context, everyNode(context))];
        return `  ${counted(context.at_context, "token")} of context: ${first.toFixed(2)} as a chain, at most ${most.toFixed(2)} with ${counted(ranks, "rank")} of each head (${counted(context.positions, "position")})`;
      }),
  ]);
}

function meanRound(context: HeadsContext, tree: readonly (readonly number[])[]): number {
  const { tokens, rounds } = treeRounds(context, tree);
  return rounds === 0 ? 1 : tokens / rounds;
}

const everyNode = ({ paths }: HeadsContext): number[][] =>
  paths.flatMap(({ ranks }) => ranks.map((_, depth) => ranks.slice(0, depth + 1)));
