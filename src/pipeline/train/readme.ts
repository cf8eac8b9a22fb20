/** The README of a folder of trained heads: what they are, and how they were made. */
import type { TrainingResult } from "../../train/train.js";
import type { TrainingRequest } from "./options.js";

export function readmeOf(
  model: string,
  request: TrainingRequest,
  facts: { base_model: { name: string; weights_sha256: string }; positions: number; positions_wanted: number } & {
    text_positions?: number;
    text_positions_wanted?: number;
  },
  { accuracy, epochs, bestEpoch }: TrainingResult,
): string {
  const { kind, heads, text, seed, withLmHead } = request;
  const name = kind === "medusa" ? "Medusa" : "Hydra";
  const rows = accuracy.heads.map(
    ({ top1, top10, loss }, head) => `| ${head + 1} | ${top1.toFixed(3)} | ${top10.toFixed(3)} | ${loss.toFixed(3)} |`,
  );
  const command = `draftplan train-heads ${model} --kind ${kind} --heads ${heads}${text.source === "bundled" ? "" : ` --text ${text.source}`} --positions ${facts.positions_wanted}${facts.text_positions_wanted === undefined ? "" : ` --text-positions ${facts.text_positions_wanted}`} --seed ${seed}${withLmHead ? " --with-lm-head" : ""} -o DIR`;
  return `# ${name} heads for ${facts.base_model.name}

${heads} heads of one residual block each, ${withLmHead ? "with the model's LM head" : "under the model's own LM head, which is not in the file"}; float16.

- **Model**: ${facts.base_model.name}, weights ${facts.base_model.weights_sha256}
- **Command**: \`${command}\`
- **Trained on** ${facts.positions} positions of the model's own greedy continuations${facts.text_positions === undefined ? "" : `, behind ${facts.text_positions} of the text itself`}, ${epochs} epochs, the ${bestEpoch}. kept
- **Held back** (${accuracy.positions} positions of other documents; they also decided when to stop): ${accuracy.tokensPerRound.toFixed(2)} tokens a round as a chain of ${heads}

| head | right at first guess | among the first ten | loss, nats |
| --- | --- | --- | --- |
${rows.join("\n")}
`;
}
