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
    ["parameters", `${formatCount(facts.parameters)}${active(facts)}`],
    ["tensors", types],
    ...(facts.wrapper === undefined
      ? []
      : [
          [
            "",
            `${facts.wrapper.left_out} more of ${facts.wrapper.class} are left out: its text model alone is read`,
          ] satisfies [string, string],
        ]),
    ...(facts.dequantised === undefined
      ? []
      : [["", `${facts.dequantised}: read as the numbers they stand for`] satisfies [string, string]]),
    [
      "sizes",
      `hidden ${facts.hidden_size}, ${facts.experts === undefined ? "MLP" : "each expert's MLP"} ${facts.intermediate_size}, vocabulary ${facts.vocab_size}${facts.tied_embeddings ? ", head tied to the embedding" : ""}`,
    ],
    ["attention", `${facts.heads} heads on ${facts.kv_heads} key/value heads of ${facts.head_dim}${windows(facts)}`],
    ["context limit", `${facts.context_limit} tokens, ${formatBytes(facts.cache_bytes_per_token)} of cache each`],
    ["end tokens", facts.eos_token_ids.join(", ") || "none"],
    ...needsRows(facts.needs),
    ["architecture_sha256", facts.architecture_sha256],
    ["weights_sha256", facts.weights_sha256 ?? "none"],
  ];
  return rows.map(([name, value]) => `${name.padEnd(21)}${value}`);
}

/** `, of which 1,234 for each token: 2 of 8 experts in every layer` */
const active = ({ experts }: ModelFacts): string =>
  experts === undefined
    ? ""
    : `, of which ${formatCount(experts.active_parameters)} for each token: ${experts.per_token} of ${experts.count} experts in every layer`;

/** `, window 512`, or `, window 512 in 15 of 18 layers` */
function windows({ sliding_window: window, layer_windows: byLayer }: ModelFacts): string {
  if (byLayer === undefined) return window === null ? "" : `, window ${window}`;
  const counts = new Map<number, number>();
  for (const one of byLayer) if (one !== null) counts.set(one, (counts.get(one) ?? 0) + 1);
  const parts = [...counts].map(([tokens, layers]) => `window ${tokens} in ${layers} of ${byLayer.length} layers`);
  return `, ${parts.join(", ")}`;
}

/** What it will need on the provider asked for. */
function needsRows(needs: ModelFacts["needs"]): [string, string][] {
  const { provider, target, weight_bytes: weights, contexts } = needs;
  const kernels = Object.entries(weights).map(([name, bytes]) => `${name} ${formatBytes(bytes)}`);
  const free = (bytes: number | null) => (bytes === null ? "" : `, ${formatBytes(bytes)} free`);
  const memory = contexts.map((one) => {
    const where = one.device_bytes === null ? "memory" : "the device's memory";
    const verdict = one.fits ? "" : ": does not fit";
    return `${formatBytes(one.device_bytes ?? one.host_bytes)} of ${where} with ${one.context_tokens} tokens in the cache (${formatBytes(one.cache_bytes)})${verdict}`;
  });
  const available = contexts[0]?.device_bytes == null ? needs.host_free_bytes : needs.device_free_bytes;
  return [
    [`needs on ${provider}`, `target in ${target}; weights: ${kernels.join(", ")}`],
    ["", `${formatBytes(needs.disk_bytes)} of disk for the converted model${free(needs.disk_free_bytes)}`],
    ...memory.map((line): [string, string] => ["", line]),
    ...(needs.program_bytes === null
      ? []
      : [
          ["", `up to ${formatBytes(needs.program_bytes)} more of it for programs that are kept ready`] as [
            string,
            string,
          ],
        ]),
    ...(contexts[0]?.device_bytes == null
      ? []
      : [
          ["", `${formatBytes(contexts[0].host_bytes)} of the host's memory${free(needs.host_free_bytes)}`] as [
            string,
            string,
          ],
        ]),
    [
      "",
      available === null
        ? "free memory of the device: not known here"
        : `${formatBytes(available)} of that memory may be used`,
    ],
  ];
}
