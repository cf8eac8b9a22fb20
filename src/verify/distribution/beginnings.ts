/** Everything that an output may begin with, and its chance: by passes of one token each, as far as draws can tell. */
import type { Progress } from "../../core/progress.js";
import type { Engine } from "../../runtime/engine.js";
import { targetChoices } from "../../schema/choice.js";
import type { Filters } from "../../schema/sampling.js";
import { type ChiSquare, chiSquare, NO_CELLS } from "../../stats/chi-square.js";
import { promptPasses } from "../target-passes.js";
import { exactDistribution } from "./exact.js";

/** Tokens that an output begins with. */
export interface Beginning {
  /** of these and no others */
  chance: number;
  /** by the next token, those that are likely enough to be counted; empty where what follows is not told apart */
  next: Map<number, Beginning>;
}

export interface BeginningOptions {
  filters: Filters;
  endTokens: readonly number[];
  /** tokens told apart at most */
  depth: number;
  draws: number;
  /** the tie margin */
  slack: number;
}

/** Draws that a cell has to expect. */
const LEAST = 5;

/** The likelier beginnings of the output behind a prompt. */
export async function beginningsOf(
  engine: Engine,
  prompt: readonly number[],
  options: BeginningOptions,
  progress: Progress,
): Promise<Beginning> {
  const { filters, endTokens, depth, draws, slack } = options;
  const choices = targetChoices(engine.spec.layers);
  const grow = async (begun: readonly number[], chance: number, logits: Float32Array): Promise<Beginning> => {
    const text = [...prompt, ...begun];
    const found: Beginning = { chance, next: new Map() };
    const exact = exactDistribution(logits.subarray(0, engine.spec.vocabSize), filters, text, slack);
    if (!exact.sure) return found;
    const likely = exact.atLeast(LEAST / (draws * chance));
    const chances = likely.map((token) => chance * exact.probability(token));
    for (const [i, token] of likely.entries()) {
      const last = begun.length + 1 === depth || endTokens.includes(token) || chances[i] * draws < 2 * LEAST;
      if (last) {
        found.next.set(token, { chance: chances[i], next: new Map() });
        continue;
      }
      await progress.tick();
      const pass = engine.run({ position: text.length, input: [token], choices, logitRows: 1 });
      found.next.set(token, await grow([...begun, token], chances[i], pass.logits));
    }
    return found;
  };
  return grow([], 1, await promptPasses(engine, prompt, choices, progress));
}

/**
 * Pearson's statistic of what was drawn, told apart by its first tokens. Cells that expect too little are counted together.
 * @param tokens how many first tokens are looked at
 */
export function chiSquareOf(root: Beginning, drawn: readonly (readonly number[])[], tokens: number): ChiSquare {
  const counts = new Map<Beginning, number>();
  for (const ids of drawn) {
    let at = root;
    for (const id of ids.slice(0, tokens)) at = at.next.get(id) ?? rest(at);
    counts.set(at, (counts.get(at) ?? 0) + 1);
  }
  const cells = cellsOf(root, tokens).map(({ beginning, chance }) => ({ chance, count: counts.get(beginning) ?? 0 }));
  const full = cells.filter(({ chance }) => chance * drawn.length >= LEAST).sort((a, b) => b.chance - a.chance);
  const rare = cells.filter(({ chance }) => chance * drawn.length < LEAST);
  const pooled = rare.reduce((sum, cell) => ({ chance: sum.chance + cell.chance, count: sum.count + cell.count }), {
    ...{ chance: 0, count: 0 },
  });
  const enough = pooled.chance * drawn.length >= LEAST;
  if (enough) full.push(pooled);
  if (full.length < 2) return NO_CELLS;
  if (!enough) {
    full[full.length - 1].chance += pooled.chance;
    full[full.length - 1].count += pooled.count;
  }
  return chiSquare(
    full.map(({ count }) => count),
    full.map(({ chance }) => chance),
  );
}

const rests = new WeakMap<Beginning, Beginning>();

/** Whatever else follows a beginning: one cell, from which nothing leads on. */
function rest(of: Beginning): Beginning {
  if (of.next.size === 0) return of;
  const known = rests.get(of) ?? { chance: 0, next: new Map() };
  rests.set(of, known);
  return known;
}

function cellsOf(root: Beginning, tokens: number): { beginning: Beginning; chance: number }[] {
  if (tokens === 0 || root.next.size === 0) return [{ beginning: root, chance: root.chance }];
  const told = [...root.next.values()];
  const others = root.chance - told.reduce((sum, { chance }) => sum + chance, 0);
  return [
    ...told.flatMap((child) => cellsOf(child, tokens - 1)),
    { beginning: rest(root), chance: Math.max(0, others) },
  ];
}
