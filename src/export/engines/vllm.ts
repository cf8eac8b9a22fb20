/**
 * vLLM: the draft as a checkpoint of its own, and `--speculative-config` (vllm/config/speculative.py, 0.32): a draft model,
 * an n-gram lookup, or Medusa heads as a chain; the draft length by batch as ranges; and the same with made-up acceptance, so
 * that a speedup can be tried with weights that nobody has trained or downloaded.
 */
import { whereDrafted } from "../../schema/export.js";
import type { Exporter, ExportJob, PlannedDraft, Written } from "../exporter.js";
import { longestDraft, vllmSchedule } from "../servers/by-batch.js";
import { draftModelPath, serverExporter, shellWord, writeServerDraft } from "../servers/draft.js";
import { isLikeliestChain, writeMedusa } from "../servers/medusa.js";

const CONFIG = "speculative_config.json";
const SYNTHETIC = "speculative_config.synthetic.json";

const SERVER = { name: "vllm", needsFfnMult: false };

export const vllm: Exporter = serverExporter(SERVER, {
  triedVersion: "0.32.0",
  lengths: "by batch",
  drafters: ["self", "lookup", "model", "heads"],
  unpredicted,
  write,
});

async function write(job: ExportJob): Promise<Written> {
  const { draft, folder } = job;
  const isDeci = await writeServerDraft(SERVER, job);
  if (draft.drafter.kind === "heads") await writeMedusa(vllm, job, draft.drafter);
  const config = speculativeConfig(job);
  folder.json(CONFIG, config);
  const synthetic = syntheticConfig(job, config);
  if (synthetic !== null) folder.json(SYNTHETIC, synthetic);
  return { usage: usage(job, isDeci, synthetic !== null), notes: [] };
}

/** As `--speculative-config` takes it. */
function speculativeConfig(job: ExportJob): Record<string, unknown> {
  const { draftTokens, draftTokensByBatch: steps } = job.draft;
  return {
    ...methodOf(job),
    num_speculative_tokens: longestDraft(draftTokens, steps),
    ...(steps === undefined ? {} : { num_speculative_tokens_per_batch_size: vllmSchedule(steps) }),
  };
}

function methodOf(job: ExportJob): Record<string, unknown> {
  const { drafter } = job.draft;
  switch (drafter.kind) {
    case "lookup":
      return {
        method: "ngram",
        prompt_lookup_min: drafter.ngram_tokens.min,
        prompt_lookup_max: drafter.ngram_tokens.max,
      };
    case "heads":
      return { method: "medusa", model: job.place };
    default:
      return { method: "draft_model", model: draftModelPath(job) };
  }
}

/**
 * The predicted curve as acceptance that vLLM makes up: `synthetic_acceptance_rates[i]` is the chance that the first i + 1
 * drafted tokens are all accepted, as in a plan. The draft's weights do not matter to it, so they need not be read.
 */
function syntheticConfig(
  { predicted, draft }: ExportJob,
  config: Record<string, unknown>,
): Record<string, unknown> | null {
  const known = predicted ?? draft.segment.predicted;
  if (known === undefined || draft.drafter.kind === "heads") return null;
  const { curve } = whereDrafted(known); // a lookup that finds nothing is no round that vLLM draws for
  return {
    ...config,
    num_speculative_tokens: curve.length - 1,
    rejection_sample_method: "synthetic",
    synthetic_acceptance_rates: curve.slice(1),
    ...(draft.drafter.kind === "lookup" ? {} : { draft_load_config: { load_format: "dummy" } }),
  };
}

function unpredicted({ drafter }: PlannedDraft): string | null {
  if (drafter.kind === "lookup")
    return "vLLM goes on from the earliest place where the longest n-gram stands, draftplan from the latest: where a text repeats itself in several ways other tokens are drafted, so nothing is predicted.";
  if (drafter.kind === "heads" && !isLikeliestChain(drafter))
    return "vLLM drafts with Medusa heads a chain of each head's likeliest token: the plan's tree is lost, and nothing is predicted.";
  return null;
}

function usage({ model, place, draft, predicted }: ExportJob, isDeci: boolean, hasSynthetic: boolean): string {
  const serve = (file: string) =>
    `vllm serve ${shellWord(model.source)}${isDeci ? " --trust-remote-code" : ""} --speculative-config "$(cat ${shellWord(`${place}/${file}`)})"`;
  const dtype = draft.drafter.kind === "lookup" ? "" : " Target and draft run in the target's type (`--dtype`).";
  const parts = [
    `\`\`\`sh\n${serve(CONFIG)}\n\`\`\``,
    `Paths in it are as seen from where this folder was written; start vLLM there, or edit \`model\`.${dtype}`,
    ...(isDeci
      ? [
          "The draft lacks single attention or MLP blocks, which is DeciLM's form; its configuration class lies in this folder, and vLLM reads it with `--trust-remote-code`.",
        ]
      : []),
    "Acceptance comes as `vllm:spec_decode_num_accepted_tokens_total` over `vllm:spec_decode_num_draft_tokens_total` at `/metrics`, by position as `vllm:spec_decode_num_accepted_tokens_per_pos_total` over `vllm:spec_decode_num_drafts_total`, and in `vllm bench serve --save-result` as `spec_decode_*`.",
  ];
  if (!hasSynthetic) return parts.join("\n\n");
  const whose =
    predicted !== null
      ? "the predicted curve"
      : `the plan's curve, which is of ${draft.drafter.kind === "lookup" ? "draftplan's own lookup" : "a draft that reads the target's cache"}`;
  return [
    ...parts,
    `What a speedup would be, without the draft's weights: the same with acceptance that vLLM makes up by ${whose}. Its output means nothing.`,
    `\`\`\`sh\n${serve(SYNTHETIC)}\n\`\`\``,
  ].join("\n\n");
}
