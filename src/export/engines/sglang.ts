/**
 * SGLang: the draft as a checkpoint of its own, and the flags of a standalone draft (python/sglang/srt/server_args.py, 0.5.23)
 * as a file for `--config`. A standalone draft has one length: `--speculative-adaptive` is for EAGLE alone.
 */
import { stringify } from "yaml";
import type { Exporter, ExportJob, PlannedDraft, Written } from "../exporter.js";
import { draftModelPath, serverExporter, shellWord, writeServerDraft } from "../servers/draft.js";

const CONFIG = "sglang.yaml";

const SERVER = { name: "sglang", needsFfnMult: true };

export const sglang: Exporter = serverExporter(SERVER, {
  triedVersion: null,
  lengths: "one",
  drafters: ["self", "lookup", "model"],
  unpredicted,
  write,
});

async function write(job: ExportJob): Promise<Written> {
  const isDeci = await writeServerDraft(SERVER, job);
  const flags = { ...flagsOf(job), ...(isDeci ? { "trust-remote-code": true } : {}) };
  job.folder.text(CONFIG, stringify(flags));
  return { usage: usage(job, flags), notes: [] };
}

/** Names are those of the command line without their dashes, as `--config` reads them. */
function flagsOf(job: ExportJob): Record<string, string | number | boolean> {
  const { drafter, draftTokens } = job.draft;
  if (drafter.kind === "lookup")
    return {
      "speculative-algorithm": "NGRAM",
      "speculative-num-draft-tokens": draftTokens + 1, // the pending token counted
      "speculative-ngram-max-bfs-breadth": 1, // a chain
      "speculative-ngram-match-type": "BFS", // by recency
      "speculative-ngram-max-trie-depth": drafter.ngram_tokens.max + draftTokens,
    };
  return {
    "speculative-algorithm": "STANDALONE",
    "speculative-draft-model-path": draftModelPath(job) ?? job.place,
    "speculative-num-steps": draftTokens,
    "speculative-eagle-topk": 1,
    "speculative-num-draft-tokens": draftTokens + 1, // the pending token counted
    "speculative-draft-model-quantization": "unquant", // otherwise it inherits the target's
  };
}

function unpredicted({ drafter }: PlannedDraft): string | null {
  if (drafter.kind !== "lookup") return null;
  return "SGLang looks n-grams up in a store of all requests, and has no shortest one: the plan's least n-gram length is lost and other tokens are drafted, so nothing is predicted.";
}

function usage({ model, place }: ExportJob, flags: Record<string, unknown>): string {
  const listed = Object.entries(flags).map(([name, value]) =>
    value === true ? `  --${name}` : `  --${name} ${shellWord(String(value))}`,
  );
  return [
    `\`\`\`sh\npython -m sglang.launch_server --model-path ${shellWord(model.source)} --config ${shellWord(`${place}/${CONFIG}`)}\n\`\`\``,
    "The same as flags:",
    `\`\`\`sh\npython -m sglang.launch_server --model-path ${shellWord(model.source)} \\\n${listed.join(" \\\n")}\n\`\`\``,
    "Paths in it are as seen from where this folder was written. Acceptance comes as `sglang:spec_accept_length` (tokens a round, the target's own counted) and `sglang:spec_accept_rate` at `/metrics`, with `--enable-metrics`.",
  ].join("\n\n");
}
