/** What `train-heads` made: how well each head guesses on held-back text. */
import type { TrainedHeads } from "../pipeline/train/train-heads.js";
import { formatPercent } from "./format.js";
import { drawTable, TABLE_COLUMNS } from "./table.js";

const ENDED = {
  epochs: "all epochs are done",
  "no better": "further epochs were no better",
  budget: "the time was up",
} satisfies Record<TrainedHeads["stopped"], string>;

export function trainedHeadsText(trained: TrainedHeads, columns = TABLE_COLUMNS): string {
  const { accuracy, positions, textPositions, epochs, bestEpoch, stopped, heads, kind, path, seconds } = trained;
  const head = ["head", "first guess right", "among ten", "loss"];
  const rows = accuracy.heads.map(({ top1, top10, loss }, i) => [
    i + 1,
    formatPercent(top1),
    formatPercent(top10),
    loss.toFixed(3),
  ]);
  return [
    `On ${accuracy.positions} positions of held-back documents:`,
    drawTable({ head, rows }, columns),
    `A round with a chain of ${heads} yields ${accuracy.tokensPerRound.toFixed(2)} tokens there.`,
    "",
    `Trained on ${positions} positions${textPositions === 0 ? "" : `, before them on ${textPositions} of the text itself`}; after ${epochs} epochs ${ENDED[stopped]}, and the ${bestEpoch}. was kept. Text took ${seconds.text.toFixed(0)} s, training ${seconds.training.toFixed(0)} s.`,
    "",
    `${kind === "medusa" ? "Medusa" : "Hydra"} heads: ${path}`,
  ].join("\n");
}

export function trainedHeadsJson(trained: TrainedHeads): object {
  const { accuracy, path, sha256, kind, heads, model, positions, textPositions, epochs, bestEpoch, stopped, seconds } =
    trained;
  return {
    ...{ path, sha256, kind, heads, model, positions, epochs, best_epoch: bestEpoch, stopped, seconds },
    text_positions: textPositions,
    held_back: {
      positions: accuracy.positions,
      tokens_per_round_as_a_chain: accuracy.tokensPerRound,
      heads: accuracy.heads,
    },
  };
}
