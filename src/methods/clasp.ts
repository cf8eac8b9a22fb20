/**
 * CLaSp (arXiv:2505.24196): whole layers are skipped. A dynamic program over layers and numbers of skipped layers carries
 * hidden states, and keeps of two ways to the same number the one whose states are more like the full model's.
 *
 * CLaSp does this after every verification, on its last token. Here it is done once, on calibration text, as a plan has to
 * be; several numbers of skipped layers are proposed where the paper fixes one.
 */
import { runBlocks, similarity, type TracedText, traceText } from "./hidden-states.js";
import { layerSet, skipCounts } from "./layers.js";
import type { Proposal, Propose } from "./types.js";

interface State {
  skipped: boolean[];
  hidden: Float32Array;
  similarity: number;
}

/** [skipped layers] the best state after all layers, for 0 to `most` skipped ones */
export async function bestByLayersSkipped(
  traced: TracedText,
  most: number,
  tick: () => Promise<void>,
): Promise<State[]> {
  const { engine, hidden } = traced;
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
      const run = runBlocks(traced, state.hidden, [2 * layer, 2 * layer + 1]);
      const like = (states: Float32Array) => similarity(states, hidden[2 * layer + 2], hiddenSize);
      offer(count, { skipped: [...state.skipped, false], hidden: run, similarity: like(run) });
      offer(count + 1, { ...state, skipped: [...state.skipped, true], similarity: like(state.hidden) });
    }
    row = next;
  }
  return row;
}

export const clasp: Propose = async ({ engine, contexts, progress }) => {
  const counts = skipCounts(engine.spec.layers);
  const proposals: Proposal[] = [];
  for (const { atContext, continuations } of contexts) {
    const traced = await traceText(engine, continuations, progress);
    if (traced === null) continue;
    const best = await bestByLayersSkipped(traced, counts[counts.length - 1], () => progress.tick());
    proposals.push(...counts.map((count) => ({ atContext, set: layerSet(best[count].skipped) })));
  }
  return proposals;
};
