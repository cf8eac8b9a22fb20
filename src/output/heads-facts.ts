/** A folder of heads on a terminal. */
import type { HeadsFacts } from "../pipeline/heads-facts.js";
import { formatCount } from "./format.js";

const KINDS = { medusa: "Medusa", hydra: "Hydra" } as const;
const LM_HEADS = { model: "the model's own", one: "one of their own for all", each: "one of its own each" } as const;

export function headsLines(facts: HeadsFacts): string[] {
  const blocks = `${facts.blocks} residual block${facts.blocks === 1 ? "" : "s"} each`;
  const prefix = facts.prefix_layer ? ", behind a prefix layer" : "";
  const among = facts.draft_vocab_size === null ? "" : `, among ${facts.draft_vocab_size} tokens`;
  const rows: [string, string][] = [
    ["heads", `${facts.heads} of ${KINDS[facts.kind]}, ${blocks}${prefix}`],
    ["layout", facts.layout],
    ["hidden size", String(facts.hidden_size)],
    ["LM head", `${LM_HEADS[facts.lm_head]}${among}`],
    ["parameters", `${formatCount(facts.parameters)}${facts.prefix_layer ? ", the prefix layer's not counted" : ""}`],
    [
      "tensors",
      Object.entries(facts.stored_types)
        .map(([type, n]) => `${type} ${n}`)
        .join(", "),
    ],
    ["trained for", facts.base_model ?? "not said"],
    ["sha256", facts.sha256],
  ];
  return rows.map(([name, value]) => `${name.padEnd(21)}${value}`);
}
