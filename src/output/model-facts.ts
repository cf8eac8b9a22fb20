/** A model on a terminal. */
import type { ModelFacts } from "../pipeline/model-facts.js";
import { formatBytes, formatCount } from "./format.js";

/** A model in a line for each thing that matters. */
export function modelLines(facts: ModelFacts): string[] {
  const types =
    facts.stored_types === null
      ? "unknown without weights"
      : Object.entries(facts.stored_types)
          .map(([type, n]) => `${type} ${n}`)
          .join(", ");
  const rows: [string, string][] = [
    ["name", facts.name],
    ["architecture", `${facts.architecture}${facts.format === null ? "" : `, from ${facts.format}`}`],
    ["layers", `${facts.layers}, that is ${2 * facts.layers} blocks: 0.attn to ${facts.layers - 1}.mlp`],
    ["parameters", formatCount(facts.parameters)],
    ["tensors", types],
    [
      "sizes",
      `hidden ${facts.hidden_size}, MLP ${facts.intermediate_size}, vocabulary ${facts.vocab_size}${facts.tied_embeddings ? ", head tied to the embedding" : ""}`,
    ],
    [
      "attention",
      `${facts.heads} heads on ${facts.kv_heads} key/value heads of ${facts.head_dim}${facts.sliding_window === null ? "" : `, window ${facts.sliding_window}`}`,
    ],
    ["context limit", `${facts.context_limit} tokens, ${formatBytes(facts.cache_bytes_per_token)} of cache each`],
    ["end tokens", facts.eos_token_ids.join(", ") || "none"],
    ["architecture_sha256", facts.architecture_sha256],
    ["weights_sha256", facts.weights_sha256 ?? "none"],
  ];
  return rows.map(([name, value]) => `${name.padEnd(21)}${value}`);
}
