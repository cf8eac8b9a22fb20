/**
 * onnxruntime-genai: target and draft as two ONNX decoders over one file of weights, and the configuration that has the one
 * draft for the other (its src/models/speculative_decoding.cpp and src/config.cpp, version 0.18).
 *
 * Any set of blocks is a draft there, since a draft is just another graph: blocks left out, in int8 and in int4.
 */
import { DECODER_FILES, decoderWeightBytes, writeDecoders } from "../../model/decoders.js";
import { DECODER_NAMES } from "../../model/graph/decoder.js";
import { CPU_DIALECT, CUDA_DIALECT, type GraphDialect, WEBGPU_DIALECT } from "../../model/graph/dialect.js";
import { storedHeadDim } from "../../model/graph/heads.js";
import { attendingLayers } from "../../model/graph/straight-line.js";
import type { ModelSpec } from "../../model/spec.js";
import { type ChoiceSet, QUANTISED_KERNELS, targetChoices } from "../../schema/choice.js";
import { withTarget } from "../../schema/numerics.js";
import type { Plan } from "../../schema/plan.js";
import { fileText } from "../checkpoint/files.js";
import type { Exporter, ExportJob, PlannedDraft, Written } from "../exporter.js";
import { unsupported } from "../unsupported.js";

const NAME = "onnxruntime-genai";

/** Its configuration is refused with more (src/config.cpp, Speculative_Element). */
const MOST_DRAFT_TOKENS = 16;

/**
 * Tokens of a prompt that are run at a time. A verifying target gives the logits of all its tokens, and genai keeps those of
 * a whole prompt: 4,000 tokens of a vocabulary of 49,152 would take 786 MB.
 */
const PROMPT_TOKENS_AT_A_TIME = 512;

/**
 * No token: genai takes the logits behind a prompt's last token that is not padding (src/models/logits.cpp), which is the
 * wrong one where a prompt ends in a padding token that a text has too. One sequence needs no padding.
 */
const NO_PADDING = -1;

export const onnxruntimeGenai: Exporter = {
  name: NAME,
  triedVersion: "0.18.0",
  preset: { drafters: ["self"], kernels: QUANTISED_KERNELS },
  express({ at, draftTokens }: PlannedDraft) {
    if (draftTokens > MOST_DRAFT_TOKENS)
      throw unsupported(
        NAME,
        { at },
        "draft_tokens",
        `${draftTokens} tokens a round, and ${NAME} drafts at most ${MOST_DRAFT_TOKENS}`,
      );
  },
  bytes: ({ model, plan, draft }) => decoderWeightBytes(model, draft.choices, deviceOf(plan).dialect),
  write,
};

async function write({ model, plan, draft, folder, place, progress }: ExportJob): Promise<Written> {
  const device = deviceOf(plan);
  const { choices, draftTokens } = draft;
  if (choices === null) throw new Error("a draft of the model's own blocks says nothing of them");
  await writeDecoders((name) => folder.path(name), model, choices, device.dialect, progress);
  folder.json("genai_config.json", {
    ...configuration(model.spec, choices, device.session),
    speculative: { max_draft_tokens: draftTokens, min_adaptive_k: 0 },
  });
  for (const file of model.files) folder.text(file.name, fileText(file));
  return { usage: usage(place), notes: [...device.notes, ...notesOn(model.spec)] };
}

interface Device {
  dialect: GraphDialect;
  /** options of both sessions: genai refuses a draft on another device than its target */
  session: { intra_op_num_threads?: number; provider_options: Record<string, Record<string, string>>[] };
  notes: string[];
}

/** Providers that both know, by draftplan's name of them; how the graph is written for each is runtime/providers.ts's to say. */
const DEVICES: Readonly<Record<string, { dialect: GraphDialect; option: string }>> = {
  cuda: { dialect: CUDA_DIALECT, option: "cuda" },
  webgpu: { dialect: WEBGPU_DIALECT, option: "WebGPU" },
};

/** By the plan's device; a plan without one is for the CPU. */
function deviceOf({ device }: Plan): Device {
  const provider = device?.provider ?? "cpu";
  const known = Object.hasOwn(DEVICES, provider) ? DEVICES[provider] : undefined;
  const dialect = known?.dialect ?? CPU_DIALECT;
  return {
    dialect: device?.target === undefined ? dialect : withTarget(dialect, device.target),
    session:
      known === undefined
        ? { ...(device === undefined ? {} : { intra_op_num_threads: device.threads }), provider_options: [] }
        : { provider_options: [{ [known.option]: {} }] },
    notes: provider === "cpu" ? [] : [deviceNote(provider, known?.option)],
  };
}

const deviceNote = (provider: string, option: string | undefined): string =>
  option === undefined
    ? `The plan was made for ${provider}, and the files are for the CPU: ${NAME} has no provider that draftplan knows under that name.`
    : `provider_options names ${option}, in decoder and draft alike, as ${NAME} asks; it was tried on the CPU only.`;

function configuration(spec: ModelSpec, draft: ChoiceSet, session: Device["session"]) {
  const { vocabSize, contextLimit, bosTokenId, eosTokenIds } = spec;
  return {
    model: {
      type: "decoder",
      vocab_size: vocabSize,
      context_length: contextLimit,
      ...(bosTokenId === null ? {} : { bos_token_id: bosTokenId }),
      eos_token_id: eosTokenIds,
      pad_token_id: NO_PADDING,
      decoder: decoder(spec, DECODER_FILES.target, targetChoices(spec.layers), session),
      draft: decoder(spec, DECODER_FILES.draft, draft, session),
    },
    search: {
      max_length: contextLimit,
      do_sample: false,
      past_present_share_buffer: true,
      chunk_size: PROMPT_TOKENS_AT_A_TIME,
    },
  };
}

const decoder = (spec: ModelSpec, filename: string, choices: ChoiceSet, session: Device["session"]) => ({
  session_options: { log_id: NAME, ...session },
  filename,
  head_size: storedHeadDim(spec),
  hidden_size: spec.hiddenSize,
  num_attention_heads: spec.heads,
  num_key_value_heads: spec.kvHeads,
  // it counts the caches, so layers whose attention is left out are none
  num_hidden_layers: attendingLayers(choices).length,
  inputs: {
    input_ids: DECODER_NAMES.ids,
    attention_mask: DECODER_NAMES.mask,
    past_key_names: DECODER_NAMES.past[0],
    past_value_names: DECODER_NAMES.past[1],
  },
  outputs: {
    logits: DECODER_NAMES.logits,
    present_key_names: DECODER_NAMES.present[0],
    present_value_names: DECODER_NAMES.present[1],
  },
});

function notesOn({ slidingWindow, eosTokenIds }: ModelSpec): string[] {
  return [
    `${NAME} speculates for one sequence at a time, without beams and without no_repeat_ngram_size.`,
    ...(slidingWindow === null
      ? []
      : [
          `The attention's window of ${slidingWindow} tokens is in the graphs; the caches keep all tokens, because ${NAME} refuses to speculate over caches that slide.`,
        ]),
    ...(eosTokenIds.length === 0 ? ["The model names no end token: generation ends at max_length alone."] : []),
  ];
}

function usage(place: string): string {
  return `\`\`\`sh
pip install onnxruntime-genai==0.18.0 "onnxruntime>=1.31"
\`\`\`

\`\`\`python
import onnxruntime_genai as og

model = og.Model(${JSON.stringify(place)})
tokenizer = og.Tokenizer(model)
prompt = tokenizer.encode("Once upon a time")
params = og.GeneratorParams(model)
params.set_search_options(do_sample=False, max_length=len(prompt) + 100)
generator = og.Generator(model, params)
generator.append_tokens(prompt)
while not generator.is_done():
    generator.generate_next_token()
print(tokenizer.decode(generator.get_sequence(0)))
print(generator.get_speculative_stats()["acceptance_rate"])
\`\`\`

\`acceptance_rate\` is \`draft_tokens_accepted / draft_tokens_evaluated\`: tokens accepted by tokens looked at, the first rejected one of a round included. Without \`model.draft\` and \`speculative\` in \`genai_config.json\` the same folder decodes plainly.`;
}
