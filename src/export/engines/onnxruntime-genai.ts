/**
 * onnxruntime-genai: target and draft as two ONNX decoders over one file of weights, and the configuration that has the one
 * draft for the other (its src/models/speculative_decoding.cpp and src/config.cpp, version 0.18).
 *
 * Any set of blocks is a draft there, since a draft is just another graph: blocks left out, in int8 and in int4.
 */
import { DraftplanError } from "../../core/errors.js";
import { DECODER_FILES, type DecoderDraft, decoderWeightBytes, writeDecoders } from "../../model/decoders.js";
import { DECODER_NAMES } from "../../model/graph/decoder.js";
import { CPU_DIALECT, CUDA_DIALECT, type GraphDialect, WEBGPU_DIALECT } from "../../model/graph/dialect.js";
import { storedHeadDim } from "../../model/graph/heads.js";
import { attendingLayers } from "../../model/graph/straight-line.js";
import { openCheckpoint } from "../../model/open.js";
import type { Checkpoint, ModelSpec } from "../../model/spec.js";
import { type ChoiceSet, targetChoices, uniformChoices } from "../../schema/choice.js";
import type { DrafterRef } from "../../schema/drafter.js";
import { withTarget } from "../../schema/numerics.js";
import type { Plan } from "../../schema/plan.js";
import { openTokenizer } from "../../tokenizer/open.js";
import { differingToken, readVocabulary } from "../../tokenizer/vocabulary.js";
import { fileText } from "../checkpoint/files.js";
import { EXPORTED_KERNELS, type Exporter, type ExportJob, type PlannedDraft, type Written } from "../exporter.js";
import type { ExportModel } from "../model.js";
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

type ModelDrafter = Extract<DrafterRef, { kind: "model" }>;

/** genai's `ngram_size` counts the token that is looked for with those before it. */
const MOST_LOOKED_UP = 15;

export const onnxruntimeGenai: Exporter = {
  name: NAME,
  triedVersion: "0.18.0",
  preset: { drafters: ["self", "lookup", "model"], kernels: EXPORTED_KERNELS },
  lengths: "alone",
  takesTargetPrecision: true,
  anyArchitecture: true,
  express,
  unpredicted: ({ drafter }) =>
    drafter.kind !== "lookup" || drafter.ngram_tokens.min === drafter.ngram_tokens.max
      ? null
      : `${NAME} looks up n-grams of one length, ${drafter.ngram_tokens.min} tokens, where the plan takes the longest up to ${drafter.ngram_tokens.max}: other tokens are drafted, so nothing is predicted.`,
  bytes: ({ model, plan, draft }) => decoderWeightBytes(model, draft.choices, deviceOf(plan).dialect),
  write,
};

function express(draft: PlannedDraft, { spec, source }: ExportModel): void {
  const { drafter, draftTokens } = draft;
  const refuse = (where: string, what: string) => unsupported(NAME, draft, where, what);
  if (spec.eosTokenIds.length === 0)
    throw new DraftplanError({
      code: "EXPORT_UNSUPPORTED",
      at: source,
      what: `the model names no end token, and ${NAME} makes no generator without one`,
      remedy: "Name it in the model's config.json or generation_config.json: eos_token_id.",
    });
  if (draftTokens > MOST_DRAFT_TOKENS)
    throw refuse("draft_tokens", `${draftTokens} tokens a round, and ${NAME} drafts at most ${MOST_DRAFT_TOKENS}`);
  if (drafter.kind === "lookup" && drafter.ngram_tokens.min > MOST_LOOKED_UP)
    throw refuse(
      "drafter.ngram_tokens",
      `n-grams of ${drafter.ngram_tokens.min} tokens are looked up, and ${NAME} looks up at most ${MOST_LOOKED_UP}`,
    );
}

async function write(job: ExportJob): Promise<Written> {
  const { model, plan, draft, folder, progress } = job;
  const device = deviceOf(plan);
  const other = draft.drafter.kind === "model" ? await openDraftModel(job, draft.drafter) : null;
  try {
    const drafting = decoderDraft(draft, other);
    await writeDecoders((name) => folder.path(name), model, drafting, device.dialect, progress);
    folder.json("genai_config.json", {
      ...configuration(model.spec, drafting, device.session),
      speculative: { max_draft_tokens: draft.draftTokens, min_adaptive_k: 0, ...lookupKeys(draft.drafter) },
    });
  } finally {
    other?.close();
  }
  for (const file of model.files) folder.text(file.name, fileText(file));
  return {
    usage: usage(job, await textPrefix(model)),
    notes: [...device.notes, ...lookupNotes(draft.drafter), ...notesOn(model.spec)],
  };
}

function decoderDraft({ drafter, choices }: PlannedDraft, other: Checkpoint | null): DecoderDraft | null {
  if (drafter.kind === "model" && other !== null)
    return { choices: uniformChoices(other.spec.layers, drafter.kernel), weights: other };
  return choices === null ? null : { choices };
}

/** @throws EXPORT_UNSUPPORTED for another vocabulary, DOCUMENT_MISMATCH for a model that is not the plan's */
async function openDraftModel(
  { model, draft }: ExportJob,
  { path, weights_sha256 }: ModelDrafter,
): Promise<Checkpoint> {
  const refuse = (what: string) => unsupported(NAME, draft, "drafter.path", what);
  const other = await openCheckpoint(path);
  try {
    if (other.weightsSha256 !== weights_sha256)
      throw new DraftplanError({
        code: "DOCUMENT_MISMATCH",
        at: `${draft.at}.drafter`,
        what: `${path} has other weights than the plan was made with`,
        remedy: "Put the plan's model there, or plan again with this one.",
      });
    const [ours, theirs] = [model.spec.vocabSize, other.spec.vocabSize];
    if (ours !== theirs)
      throw refuse(`${path} has ${theirs} tokens and the model ${ours}, and ${NAME} wants logits of one length`);
    const [vocabulary, drafted] = [await readVocabulary(model.path), await readVocabulary(path)];
    const differing = vocabulary === null || drafted === null ? null : differingToken(vocabulary, drafted);
    if (differing !== null) throw refuse(`token ${differing.id} of ${path} is not the model's`);
    return other;
  } catch (cause) {
    other.close();
    throw cause;
  }
}

/** It looks up n-grams of one length, at their last place, and with `chained` goes on by looking up again (src/n_gram_lookup.h). */
const lookupKeys = (drafter: DrafterRef) =>
  drafter.kind === "lookup" ? { ngram_size: drafter.ngram_tokens.min + 1, ngram_chained_lookup: true } : {};

const lookupNotes = (drafter: DrafterRef): string[] =>
  drafter.kind === "lookup"
    ? [`${NAME} looks n-grams of ${drafter.ngram_tokens.min} tokens up again for every further token of a draft.`]
    : [];

/** What the model's tokenizer puts before every text; null: it is not one that draftplan reads. */
async function textPrefix({ path }: ExportModel): Promise<number[] | null> {
  try {
    return (await openTokenizer(path)).encode("");
  } catch (cause) {
    if (cause instanceof DraftplanError) return null;
    throw cause;
  }
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

function configuration(spec: ModelSpec, draft: DecoderDraft | null, session: Device["session"]) {
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
      ...(draft === null
        ? {}
        : { draft: decoder(draft.weights?.spec ?? spec, DECODER_FILES.draft, draft.choices, session) }),
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

const notesOn = ({ slidingWindow }: ModelSpec): string[] => [
  `${NAME} speculates for one sequence at a time, without beams and without no_repeat_ngram_size.`,
  ...(slidingWindow === null
    ? []
    : [
        `The attention's window of ${slidingWindow} tokens is in the graphs; the caches keep all tokens, because ${NAME} refuses to speculate over caches that slide.`,
      ]),
];

function usage({ place, draft }: ExportJob, prefix: number[] | null): string {
  const encoded = 'tokenizer.encode("Once upon a time")';
  const prompt = prefix === null || prefix.length === 0 ? encoded : `${JSON.stringify(prefix)} + list(${encoded})`;
  const special = prefix === null ? "What stands before every text (a token of its beginning)" : "Special tokens";
  const without = draft.drafter.kind === "lookup" ? "`speculative`" : "`model.draft` and `speculative`";
  return `\`\`\`sh
pip install onnxruntime-genai==0.18.0 "onnxruntime>=1.31"
\`\`\`

\`\`\`python
import onnxruntime_genai as og

model = og.Model(${JSON.stringify(place)})
tokenizer = og.Tokenizer(model)
prompt = ${prompt}
params = og.GeneratorParams(model)
params.set_search_options(do_sample=False, max_length=len(prompt) + 100)
generator = og.Generator(model, params)
generator.append_tokens(prompt)
while not generator.is_done():
    generator.generate_next_token()
print(tokenizer.decode(generator.get_sequence(0)))
print(generator.get_speculative_stats()["acceptance_rate"])
\`\`\`

${special} are not added by genai's \`encode\`. \`acceptance_rate\` is \`draft_tokens_accepted / draft_tokens_evaluated\`: tokens accepted by tokens looked at, the first rejected one of a round included. Without ${without} in \`genai_config.json\` the same folder decodes plainly.`;
}
