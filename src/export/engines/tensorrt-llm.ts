/**
 * TensorRT-LLM: the draft as a checkpoint of its own, and the options of `trtllm-serve` as YAML (tensorrt_llm/llmapi/
 * llm_args.py): DraftTargetDecodingConfig or NGramDecodingConfig, and the draft length by batch as `draft_len_schedule`.
 */
import { stringify } from "yaml";
import { DraftplanError } from "../../core/errors.js";
import { counted } from "../../core/text.js";
import { type LengthByBatch, lengthsText } from "../../schema/length-by-batch.js";
import type { Exporter, ExportJob, PlannedDraft, Written } from "../exporter.js";
import { tensorRtSchedule } from "../servers/by-batch.js";
import { draftModelPath, serverExporter, shellWord, writeServerDraft } from "../servers/draft.js";

const CONFIG = "config.yaml";

const SERVER = { name: "tensorrt-llm", needsFfnMult: true };

const server = serverExporter(SERVER, {
  triedVersion: null,
  lengths: "by batch",
  drafters: ["self", "lookup", "model"],
  unpredicted,
  write,
});

export const tensorrtLlm: Exporter = {
  ...server,
  express: (draft, model) => {
    server.express?.(draft, model);
    requireDraftsOfOne(draft);
  },
};

/** Its longest draft is that of one sequence, and a longest draft of 0 tokens is refused (`validate_draft_target_config`). */
function requireDraftsOfOne({ at, draftTokens, draftTokensByBatch: steps }: PlannedDraft): void {
  if (steps === undefined || steps[0].draft_tokens > 0) return;
  throw new DraftplanError({
    code: "EXPORT_UNSUPPORTED",
    at: `${at}.draft_tokens_by_batch`,
    what: `one sequence drafts nothing there and more do (${lengthsText(steps)}), and tensorrt-llm drafts most of one sequence`,
    remedy: `Take draft_tokens_by_batch out of the plan: then it drafts ${counted(draftTokens, "token")} whatever the number of sequences.`,
  });
}

async function write(job: ExportJob): Promise<Written> {
  const isDeci = await writeServerDraft(SERVER, job);
  job.folder.text(CONFIG, stringify({ ...optionsOf(job), ...(isDeci ? { trust_remote_code: true } : {}) }));
  return { usage: usage(job), notes: notesOf(job.draft) };
}

function optionsOf(job: ExportJob): Record<string, unknown> {
  const { drafter, draftTokens, draftTokensByBatch: steps } = job.draft;
  const lengths = steps === undefined ? { max_draft_len: draftTokens } : byBatch(steps);
  const speculative =
    drafter.kind === "lookup"
      ? {
          ...{ decoding_type: "NGram", ...lengths, max_matching_ngram_size: drafter.ngram_tokens.max },
          ...{ is_keep_all: true, is_use_oldest: false, is_public_pool: false }, // the latest place, in this text alone
        }
      : { decoding_type: "Draft_Target", ...lengths, speculative_model: draftModelPath(job) };
  // two models in one loop: the next round's tokens are not known before this one has ended
  return { disable_overlap_scheduler: true, speculative_config: speculative };
}

function byBatch(steps: LengthByBatch): Record<string, unknown> {
  const { maxDraftLen, schedule } = tensorRtSchedule(steps);
  return {
    max_draft_len: maxDraftLen,
    draft_len_schedule: new Map(Object.entries(schedule).map(([to, length]) => [Number(to), length])),
  };
}

function notesOf({ draftTokensByBatch: steps }: PlannedDraft): string[] {
  const longer = (steps ?? []).filter(({ draft_tokens }) => draft_tokens > (steps?.[0].draft_tokens ?? 0));
  return [
    ...(steps === undefined
      ? []
      : [
          "Keys of draft_len_schedule are the last batch of each range, as TensorRT-LLM reads them since January 2026 (#10860). A release that asks for the key 1 reads them as the first batch: write them so there.",
        ]),
    ...(steps === undefined || longer.length === 0
      ? []
      : [
          `TensorRT-LLM drafts most of one sequence: longer drafts of more (${lengthsText(steps)}) are cut to ${counted(steps[0].draft_tokens, "token")}.`,
        ]),
  ];
}

function unpredicted({ drafter }: PlannedDraft): string | null {
  if (drafter.kind !== "lookup" || drafter.ngram_tokens.min === 1) return null;
  return `TensorRT-LLM has no shortest n-gram: it goes on from matches of fewer than ${drafter.ngram_tokens.min} tokens too, so nothing is predicted.`;
}

function usage({ model, place }: ExportJob): string {
  return [
    `\`\`\`sh\ntrtllm-serve ${shellWord(model.source)} --backend pytorch --extra_llm_api_options ${shellWord(`${place}/${CONFIG}`)}\n\`\`\``,
    "Paths in it are as seen from where this folder was written. `trtllm-bench throughput --report_json FILE` with the same options gives `decoding_stats`: acceptance length (tokens a round, the target's own counted) and acceptance rate by request.",
  ].join("\n\n");
}
