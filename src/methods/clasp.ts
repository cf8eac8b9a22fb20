/**
 * CLaSp (arXiv:2505.24196): whole layers are skipped. A dynamic program over layers and numbers of skipped layers carries
 * hidden states, and keeps of two ways to the same number the one whose states are more like the full model's.
 *
 * CLaSp does this after every verification, on its last token. Here it is done once, on calibration text, as a plan has to
 * be; several numbers of skipped layers are proposed where the paper fixes one.
 */
import type { ChoiceSet } from "../schema/choice.js";
import { type Carrier, openCarrier, runBlocks, similarity } from "./carried.js";
import type { Proposal, Propose } from "./types.js";

interface State {
  skipped: boolean[];
  hidden: Float32Array;
  similarity: number;
}

/** [skipped layers] the best state after all layers, for 0 to `most` skipped ones */
export async function carriedLayers(carrier: Carrier, most: number, tick: () => Promise<void>): Promise<State[]> {
  const { engine, hidden } = carrier;
  const { layers, hiddenSize } = engine.spec;
  let row: State[] = [{ skipped: [], hidden: hidden[0], similarity: 1 }];
  for (let layer = 0; layer < layers; layer++) {
    const next: State[] = [];
    const offer = (count: number, state: State) => {
      if (count <= most && (next[count] === undefined || state.similarity > next[count].similarity))
        next[count] = state;
    };
    for (const [count, state] of row.entries()) {
      await tick();
      const run = runBlocks(carrier, state.hidden, [2 * layer, 2 * layer + 1]);
      const like = (states: Float32Array) => similarity(states, hidden[2 * layer + 2], hiddenSize);
      offer(count, { skipped: [...state.skipped, false], hidden: run, similarity: like(run) });
      offer(count + 1, { ...state, skipped: [...state.skipped, true], similarity: like(state.hidden) });
    }
    row = next;
  }
  return row;
}

/** Counts worth proposing: all small ones, then wider apart, up to half of the layers. */
export function skipCounts(layers: number): number[] {
  const most = Math.max(1, Math.floor(layers / 2));
  return [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64].filter((count) => count <= most);
}

export const layerSet = (skipped: readonly boolean[]): ChoiceSet => ({
  blocks: skipped.flatMap((skip) => (skip ? ["skip", "skip"] : ["target", "target"]) as ("skip" | "target")[]),
  head: "target",
});

export const clasp: Propose = async ({ engine, contexts, progress }) => {
  const counts = skipCounts(engine.spec.layers);
  const proposals: Proposal[] = [];
  for (const { atContext, continuations } of contexts) {
    const carrier = await openCarrier(engine, continuations, progress);
    if (carrier === null) continue;
    const best = await carriedLayers(carrier, counts[counts.length - 1], () => progress.tick());
    proposals.push(...counts.map((count) => ({ atContext, set: layerSet(best[count].skipped) })));
  }
  return proposals;
};

/** Layers left out at even distances, the first and the last kept where there are others. */
export function evenlySkipped(layers: number, count: number): boolean[] {
  const skipped = new Array<boolean>(layers).fill(false);
  for (let i = 0; i < count; i++) skipped[Math.round(((i + 1) * (layers - 1)) / (count + 1))] = true;
  return skipped;
}

export const uniform: Propose = async ({ engine, contexts }) =>
  contexts.flatMap(({ atContext }) =>
    skipCounts(engine.spec.layers).map((count) => ({
      atContext,
      set: layerSet(evenlySkipped(engine.spec.layers, count)),
    })),
  );
