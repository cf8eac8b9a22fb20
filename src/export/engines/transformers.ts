/**
 * transformers: a draft of whole layers as a checkpoint for `assistant_model` (transformers' generation/candidate_generator.py,
 * `AssistedCandidateGenerator`). Its rounds are as long as the plan's: the schedule is constant, and no confidence ends one.
 */
import { checkpointBytes, writeDraftCheckpoint } from "../checkpoint/draft-checkpoint.js";
import type { Exporter, ExportJob, Written } from "../exporter.js";

export const transformers: Exporter = {
  name: "transformers",
  triedVersion: "5.24.0",
  preset: { drafters: ["self"], kernels: [], whole_layers: true },
  bytes: ({ model, draft }) => checkpointBytes(model, draft),
  write,
};

async function write(job: ExportJob): Promise<Written> {
  await writeDraftCheckpoint(job, { generation: assistantKeys(job) });
  return { usage: usage(job), notes: [] };
}

/** By transformers' defaults a draft ends where its own probability falls below 0.4, and its length follows the text. */
const assistantKeys = ({ draft }: ExportJob) => ({
  num_assistant_tokens: draft.draftTokens,
  num_assistant_tokens_schedule: "constant",
  assistant_confidence_threshold: 0,
});

function usage({ model, place }: ExportJob): string {
  return `\`\`\`python
from transformers import AutoModelForCausalLM, AutoTokenizer

target = AutoModelForCausalLM.from_pretrained(${JSON.stringify(model.source)})
draft = AutoModelForCausalLM.from_pretrained(${JSON.stringify(place)})
tokenizer = AutoTokenizer.from_pretrained(${JSON.stringify(place)})
inputs = tokenizer("Once upon a time", return_tensors="pt")
output = target.generate(**inputs, assistant_model=draft, do_sample=False, max_new_tokens=100)
print(tokenizer.decode(output[0], skip_special_tokens=True))
\`\`\``;
}
