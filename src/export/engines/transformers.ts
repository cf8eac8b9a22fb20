/**
 * transformers (generation/candidate_generator.py): a draft of whole layers as a checkpoint for `assistant_model`; any draft of
 * the model's own blocks as a Python module that builds it from the loaded target; a lookup as `prompt_lookup_num_tokens`;
 * another model as it lies. The module counts acceptance in all of them.
 */
import { resolve } from "node:path";
import type { ChoiceSet } from "../../schema/choice.js";
import { checkpointBytes, writeDraftCheckpoint } from "../checkpoint/draft-checkpoint.js";
import { writeModelFiles } from "../checkpoint/files.js";
import { isWhole, packedLayers } from "../checkpoint/layers.js";
import { EXPORTED_KERNELS, type Exporter, type ExportJob, type PlannedDraft, type Written } from "../exporter.js";
import { ASSISTANT_FILE, assistantModule, attentionGroups } from "../transformers/assistant-module.js";
import { unsupported } from "../unsupported.js";

export const transformers: Exporter = {
  name: "transformers",
  triedVersion: "5.24.0",
  preset: { drafters: ["self", "lookup", "model"], kernels: EXPORTED_KERNELS },
  lengths: "alone",
  unpredicted,
  express: ({ choices, ...draft }) => {
    if (choices !== null && attentionGroups(choices).length === 1)
      throw unsupported(
        "transformers",
        draft,
        "draft",
        "every attention is skipped, 0.attn and all others, and a draft without any has no cache to count positions by",
        " --keep-first-attention",
      );
  },
  bytes: ({ model, draft }) => (isCheckpoint(draft.choices) ? checkpointBytes(model, draft) : 0),
  write,
};

/** Whole layers at the target's precision, and fewer than it has: a model that transformers has a class for. */
const isCheckpoint = (choices: ChoiceSet | null): choices is ChoiceSet =>
  choices !== null && isWhole(packedLayers(choices)) && !isQuantised(choices) && choices.blocks.includes("skip");

const isQuantised = ({ blocks, head }: ChoiceSet): boolean =>
  head !== "target" || blocks.some((choice) => choice !== "target" && choice !== "skip");

async function write(job: ExportJob): Promise<Written> {
  const { model, draft, folder } = job;
  const { choices, draftTokens, drafter } = draft;
  folder.text(
    ASSISTANT_FILE,
    assistantModule({
      ...{ targetLayers: model.spec.layers, draftTokens, choices },
      ngramTokens: drafter.kind === "lookup" ? drafter.ngram_tokens.max : null,
      assistant: drafter.kind === "model" ? pathOf(drafter.path) : null,
    }),
  );
  if (isCheckpoint(choices)) await writeDraftCheckpoint(job, { generation: assistantKeys(draftTokens) });
  else writeModelFiles(folder, model);
  return { usage: usage(job), notes: notes(draft) };
}

/** By transformers' defaults a draft ends where its own probability falls below 0.4, and its length follows the text. */
const assistantKeys = (draftTokens: number) => ({
  num_assistant_tokens: draftTokens,
  num_assistant_tokens_schedule: "constant",
  assistant_confidence_threshold: 0,
});

const pathOf = (path: string): string => resolve(path);

/** What it runs is then another draft than the plan's. */
function unpredicted({ drafter }: PlannedDraft): string | null {
  if (drafter.kind === "model" && drafter.kernel !== "target")
    return `The draft model runs at the precision of its files, and the plan's figures are of it in ${drafter.kernel}, so nothing is predicted.`;
  if (drafter.kind !== "lookup") return null;
  const { min, max } = drafter.ngram_tokens;
  const down =
    min > 1 ? ` transformers looks up n-grams of ${max} tokens down to 1; the plan's are of ${min} at least.` : "";
  return `transformers goes on from the first place in the text that an n-gram is found at, the plan's lookup from the last, so nothing is predicted.${down}`;
}

const notes = ({ choices }: PlannedDraft): string[] =>
  choices !== null && isQuantised(choices)
    ? [
        "transformers has no such quantised blocks as the plan's: by default int8 blocks run as torch's dynamic int8 linears (the CPU, float32), which are coarser, so that fewer tokens are accepted; elsewhere, and in other kernels, at the target's precision, which saves nothing. build_assistant(target, quantised=\"rounded\") rounds weights as the plan does: acceptance is then the plan's, which any prediction here is of, and nothing is faster.",
      ]
    : [];

function usage({ model, draft, place }: ExportJob): string {
  const { drafter, choices } = draft;
  const parts = [
    drafter.kind === "lookup" ? lookupUsage(draft.draftTokens, drafter.ngram_tokens.max) : "",
    drafter.kind === "self" || drafter.kind === "model" ? moduleUsage(drafter.kind === "model") : "",
  ];
  const head = `import sys

sys.path.insert(0, ${JSON.stringify(place)})
import draftplan_assistant as draft
from transformers import AutoTokenizer

target = draft.load(${JSON.stringify(model.source)})
tokenizer = AutoTokenizer.from_pretrained(${JSON.stringify(place)})
inputs = tokenizer("Once upon a time", return_tensors="pt")
`;
  return `\`\`\`python
${head}${parts.join("")}print(counts.json())
\`\`\`
${isCheckpoint(choices) ? checkpointUsage(place) : ""}
Counts over a file of prompts (a JSON array of texts, or of lists of token ids), decoded with and without the draft:

\`\`\`sh
python ${quoted(`${place}/${ASSISTANT_FILE}`)} ${quoted(model.source)} --prompts prompts.json --max-new-tokens 64 --compare > counts.json
\`\`\``;
}

const moduleUsage = (
  other: boolean,
) => `${other ? "assistant = draft.load(draft.ASSISTANT)\ndraft.fix_length(assistant)" : "assistant = draft.build_assistant(target)"}
with draft.counting(target) as counts:
    output = target.generate(**inputs, assistant_model=assistant, do_sample=False, max_new_tokens=100)
print(tokenizer.decode(output[0], skip_special_tokens=True))
`;

const lookupUsage = (draftTokens: number, ngram: number) => `with draft.counting(target) as counts:
    output = target.generate(**inputs, prompt_lookup_num_tokens=${draftTokens}, max_matching_ngram_size=${ngram}, do_sample=False, max_new_tokens=100)
print(tokenizer.decode(output[0], skip_special_tokens=True))
`;

const checkpointUsage = (place: string) => `
The folder is also a checkpoint of the draft, for whoever serves draft and target apart; its weights take memory of their own:

\`\`\`python
assistant = AutoModelForCausalLM.from_pretrained(${JSON.stringify(place)})
\`\`\`
`;

/** For a POSIX shell. */
const quoted = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
