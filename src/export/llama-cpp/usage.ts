/** What to paste: `llama-server` with today's flags (llama.cpp's common/arg.cpp, build 11434), and node-llama-cpp. */
import type { HybridRef, LookupRef } from "../../schema/drafter.js";
import type { ExportJob } from "../exporter.js";

/** llama.cpp's `ngram-simple`: an n-gram of one length is looked for, the latest first, and what followed it is drafted. */
export interface NgramSettings {
  /** `--spec-ngram-simple-size-n` */
  size: number;
  /** `--spec-ngram-simple-size-m` */
  draftTokens: number;
  /** what the plan has */
  planned: { min: number; max: number; draftTokens: number };
}

type Lookup = Pick<LookupRef, "ngram_tokens"> | HybridRef["lookup"];

export function ngramSettings(lookup: Lookup, segmentTokens: number): NgramSettings {
  const { ngram_tokens: ngrams } = lookup;
  const min = "min_match" in lookup ? Math.max(lookup.min_match, ngrams.min) : ngrams.min;
  const draftTokens = ("draft_tokens" in lookup ? lookup.draft_tokens : undefined) ?? segmentTokens;
  // shorter drafts than the n-gram are dropped (common/ngram-map.cpp, `copy_max < n_draft_min`)
  return { size: min, draftTokens: Math.max(draftTokens, min), planned: { min, max: ngrams.max, draftTokens } };
}

export interface Drafting {
  /** of the folder; null: no model drafts */
  file: string | null;
  ngrams: NgramSettings | null;
}

export function usage(job: ExportJob, { file, ngrams }: Drafting): string {
  const target = job.model.format === "gguf" ? job.model.source : "TARGET.gguf";
  const flags = [...specFlags(job, file, ngrams)];
  const command = (...more: string[]) => shell(["llama-server", `-m ${word(target)}`, ...flags, ...more]);
  return [
    ...(job.model.format === "gguf" ? [] : [conversion(job)]),
    command("--parallel 1"),
    statistics(job, ngrams),
    ...replay(job, ngrams, command),
    ...(file === null ? [] : [nodeLlamaCpp(job, target, file)]),
  ].join("\n\n");
}

function* specFlags({ draft, place }: ExportJob, file: string | null, ngrams: NgramSettings | null): Generator<string> {
  const types = [...(ngrams === null ? [] : ["ngram-simple"]), ...(file === null ? [] : ["draft-simple"])];
  yield `--spec-type ${types.join(",")}`;
  if (ngrams !== null)
    yield `--spec-ngram-simple-size-n ${ngrams.size} --spec-ngram-simple-size-m ${ngrams.draftTokens}`;
  if (file !== null) {
    yield `--spec-draft-model ${word(joined(place, file))}`;
    yield `--spec-draft-n-max ${draft.draftTokens} --spec-draft-n-min 0 --spec-draft-p-min 0`;
  }
}

const conversion = ({
  model,
}: ExportJob): string => `The target has to be a GGUF too, made by llama.cpp's own converter:

${shell([`python convert_hf_to_gguf.py ${word(model.source)}`, "--outfile TARGET.gguf"])}`;

function statistics({ predicted, draft }: ExportJob, ngrams: NgramSettings | null): string {
  const read =
    "Without `--spec-draft-n-max` llama.cpp drafts 3 tokens a round, and with a `--spec-draft-p-min` above 0 a draft ends where its own probability falls below it; then what a plan predicts does not hold. Every answer's `timings` hold `draft_n`, tokens drafted, and `draft_n_accepted`.";
  if (predicted === null || ngrams !== null) return read;
  const share = (100 * (predicted.accepted_length - 1)) / draft.draftTokens;
  return `${read} To expect: \`draft_n_accepted / draft_n\` of ${share.toFixed(1)} %, which counts tokens behind a rejected one as drafted.`;
}

/** Acceptance as predicted, whatever the draft says: its speed is that of the draft, its output is not to be read. */
function replay(
  { predicted, draft }: ExportJob,
  ngrams: NgramSettings | null,
  command: (...more: string[]) => string,
): string[] {
  // a lookup drafts in some rounds alone, and the rates have one place for every token it might draft
  if (predicted === null || ngrams !== null) return [];
  const rates = predicted.acceptance_curve.slice(1, draft.draftTokens + 1);
  if (rates.length !== draft.draftTokens) return [];
  return [
    `To see what the predicted acceptance is worth there, replay it: tokens are then accepted by chance, with the predicted curve, and the text that comes out is not the model's.

${command(`--spec-synth-rates ${rates.map(String).join(",")}`, "--parallel 1")}`,
  ];
}

function nodeLlamaCpp({ draft, place }: ExportJob, target: string, file: string): string {
  return `With [node-llama-cpp](https://node-llama-cpp.withcat.ai), whose predictor drafts beside the target's passes and throws late drafts away, so that acceptance depends on timing:

\`\`\`js
import { availableParallelism } from "node:os";
import { DraftSequenceTokenPredictor, getLlama, LlamaChatSession } from "node-llama-cpp";

// both models compute at the same time: on a CPU each has its own half of the cores, since threads that wait for one spin
const threads = Math.max(1, availableParallelism() >> 1);
const llama = await getLlama();
const target = await llama.loadModel({ modelPath: ${JSON.stringify(target)} });
const draft = await llama.loadModel({ modelPath: ${JSON.stringify(joined(place, file))} });
const context = await target.createContext({ threads });
const draftContext = await draft.createContext({ threads });
const contextSequence = context.getSequence({
  tokenPredictor: new DraftSequenceTokenPredictor(draftContext.getSequence(), {
    minTokens: 0,
    maxTokens: ${draft.draftTokens},
    minConfidence: 0,
  }),
});
const session = new LlamaChatSession({ contextSequence });
const answer = await session.prompt("Once upon a time", { temperature: 0, maxTokens: 100 });
const { validated, refuted } = contextSequence.tokenPredictions; // drafted tokens that stood, and that did not
\`\`\``;
}

const joined = (place: string, file: string): string => `${place.replace(/\/+$/, "")}/${file}`;

const shell = (lines: readonly string[]): string => `\`\`\`sh\n${lines.join(" \\\n  ")}\n\`\`\``;

/** As a POSIX shell reads it back. */
const word = (text: string): string =>
  /^[A-Za-z0-9_./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
