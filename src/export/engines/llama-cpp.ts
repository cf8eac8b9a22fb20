/**
 * llama.cpp: a draft as a GGUF model of its own (`--spec-type draft-simple`), or the settings of its n-gram drafters, or both.
 * What a draft is written as, and what llama.cpp makes of it, is in gguf/draft.ts.
 */
import { DraftplanError } from "../../core/errors.js";
import { architectureOf } from "../../model/architectures/registry.js";
import { openGguf } from "../../model/formats/gguf-parts.js";
import { blockName, type ChoiceSet, uniformChoices } from "../../schema/choice.js";
import { lookupIn, type ModelDrafterRef, mainDrafter } from "../../schema/drafter.js";
import { readDefinition } from "../../tokenizer/open.js";
import { EXPORTED_KERNELS, type Exporter, type ExportJob, type PlannedDraft, type Written } from "../exporter.js";
import { bytesAStep, draftOf, type GgufDraft, type GgufModel } from "../gguf/draft.js";
import { folderModel, folderTensors } from "../gguf/from-folder.js";
import { ggufModel } from "../gguf/from-gguf.js";
import { areWhole, packLayers } from "../gguf/layers.js";
import { madeMetadata } from "../gguf/model-metadata.js";
import { tensorBytes, writeGguf } from "../gguf/write.js";
import { draftNotes, lookupNotes, otherLookup, windowNote } from "../llama-cpp/notes.js";
import { type NgramSettings, ngramSettings, usage } from "../llama-cpp/usage.js";
import type { ExportModel } from "../model.js";
import { openExportModel } from "../open-model.js";
import { requireLlamaLike, unsupported } from "../unsupported.js";

const NAME = "llama.cpp";
const FILE = "draft.gguf";

export const llamaCpp: Exporter = {
  name: NAME,
  triedVersion: "b11549 (xllamacpp 2026.10.11549)",
  preset: { drafters: ["self", "lookup", "model", "hybrid"], kernels: EXPORTED_KERNELS },
  lengths: "one",
  takes: "gguf",
  unpredicted,
  express,
  bytes,
  write,
};

/** A layer of which one block is skipped is written as `deci`, which has no norms of heads. */
function express(draft: PlannedDraft, { spec }: ExportModel): void {
  const main = mainDrafter(draft.drafter);
  if (main.kind === "heads")
    throw unsupported(
      NAME,
      draft,
      "drafter",
      "trained heads draft beside a lookup, and llama.cpp has no form for them",
    );
  if (draft.choices === null) return;
  if (architectureOf(spec.architecture).gguf === null)
    throw unsupported(NAME, draft, "draft", `llama.cpp has no architecture ${spec.architecture}`);
  if (!spec.qkNorm || areWhole(packLayers(draft.choices))) return;
  const { blocks } = draft.choices;
  const half = blocks.findIndex((choice, i) => choice === "skip" && blocks[i ^ 1] !== "skip");
  const what = `${blockName(half)} is skipped without ${blockName(half ^ 1)}: llama.cpp has layers with one of the two in its architecture deci alone, which has no norms of q and k as ${spec.architecture} has`;
  const { at, ...refused } = unsupported(NAME, draft, "draft", what);
  throw new DraftplanError({
    ...{ code: refused.code, at, what },
    remedy: `Plan again with whole layers: draftplan solve --profile FILE --calibration FILE --for ${NAME} --whole-layers -o PLAN`,
  });
}

/** Of another model's files nothing is known yet. */
function bytes({ model, draft }: Omit<ExportJob, "folder">): number {
  if (draft.choices === null) return 0;
  const opened = openWeights(model);
  try {
    const { tensors } = draftOf(opened.model, draft.choices);
    return tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
  } finally {
    opened.close();
  }
}

async function write(job: ExportJob): Promise<Written> {
  const ngrams = ngramsOf(job.draft);
  const notes = ngrams === null ? [] : lookupNotes(ngrams);
  const main = mainDrafter(job.draft.drafter);
  if (main.kind === "lookup") return { usage: usage(job, { file: null, ngrams }), notes };
  const written = main.kind === "model" ? await writeOther(job, main) : await writeOwn(job);
  return { usage: usage(job, { file: FILE, ngrams }), notes: [...notes, ...written] };
}

function ngramsOf({ drafter, draftTokens }: PlannedDraft): NgramSettings | null {
  const lookup = lookupIn(drafter);
  return lookup === null ? null : ngramSettings(lookup, draftTokens);
}

function unpredicted(draft: PlannedDraft, { spec: { slidingWindow } }: Pick<ExportModel, "spec">): string | null {
  if (slidingWindow !== null && draft.segment.context_tokens.to > slidingWindow) return windowNote(slidingWindow);
  const ngrams = ngramsOf(draft);
  return ngrams === null ? null : otherLookup(ngrams);
}

async function writeOwn(job: ExportJob): Promise<string[]> {
  if (job.draft.choices === null) throw new Error("a draft of the model's own blocks has choices");
  return writeDraft(job, job.model, job.draft.choices);
}

/** @throws DOCUMENT_MISMATCH where it is another one now; what opening it throws */
async function writeOther(job: ExportJob, drafter: ModelDrafterRef): Promise<string[]> {
  const other = await openExportModel(drafter.path, "gguf");
  try {
    if (other.ref.weights_sha256 !== drafter.weights_sha256)
      throw new DraftplanError({
        code: "DOCUMENT_MISMATCH",
        at: `${job.draft.at}.drafter.path`,
        what: `the model at ${drafter.path} is not the one that the plan was made with`,
        remedy: "Put the plan's model there, or plan again with this one.",
      });
    requireLlamaLike(NAME, job.draft, other.spec);
    return await writeDraft(job, other, uniformChoices(other.spec.layers, drafter.kernel));
  } finally {
    other.close();
  }
}

async function writeDraft(job: ExportJob, model: ExportModel, choices: ChoiceSet): Promise<string[]> {
  const opened = await openWhole(model);
  try {
    const draft = draftOf(opened.model, choices);
    let done = 0;
    await writeGguf(job.folder.path(FILE), {
      ...draft,
      alignment: opened.alignment,
      tick: () => job.progress.tick(),
      written: () => job.progress.tick({ stage: "write", done: ++done, total: draft.tensors.length }),
    });
    return notesOf(job, model, draft, choices);
  } finally {
    opened.close();
  }
}

function notesOf(job: ExportJob, model: ExportModel, draft: GgufDraft, choices: ChoiceSet): string[] {
  const target = openWeights(job.model);
  try {
    return draftNotes({
      draft,
      choices,
      own: model === job.model,
      format: model.format,
      share: bytesAStep(draft.tensors) / bytesAStep(named(target.model)),
    });
  } finally {
    target.close();
  }
}

const named = ({ tensors }: GgufModel) => [...tensors].map(([name, source]) => ({ ...source, name }));

interface Opened {
  model: GgufModel;
  alignment: number;
  close(): void;
}

const DEFAULT_ALIGNMENT = 32;

/** Without the tokenizer: enough to say what will be written. */
function openWeights(model: ExportModel): Opened {
  if (model.format === "gguf") {
    const file = openGguf(model.path);
    const alignment = file.number("general.alignment") ?? DEFAULT_ALIGNMENT;
    return { model: ggufModel(file, model.spec), alignment, close: () => file.close() };
  }
  const parts = folderTensors(model);
  if (parts === null) throw new Error(`llama.cpp has no architecture ${model.spec.architecture}`); // `express` refuses it
  return { model: { ...parts, metadata: madeMetadata(new Map()) }, alignment: DEFAULT_ALIGNMENT, close: () => {} };
}

/** @throws TOKENIZER_MISSING, TOKENIZER_INVALID for a folder whose tokenizer cannot be written into a GGUF */
async function openWhole(model: ExportModel): Promise<Opened> {
  const opened = openWeights(model);
  if (model.format === "gguf") return opened;
  return { ...opened, model: folderModel(opened.model, model, await readDefinition(model.path)) };
}
