/** Another model that is to draft: found, held against the model that it drafts for, and opened beside it. */
import type { MeasuredModel } from "../../calibrate/along-text.js";
import { DraftplanError } from "../../core/errors.js";
import type { DraftModel } from "../../decode/drafters/model.js";
import { OwnCache } from "../../decode/drafters/own-cache.js";
import { localModel } from "../../model/hub/cached.js";
import { openCheckpoint } from "../../model/open.js";
import { activeParametersOf } from "../../model/parameters.js";
import type { Checkpoint, ModelSpec } from "../../model/spec.js";
import { loadPrepared } from "../../runtime/load.js";
import { type Kernel, kernelsFor } from "../../schema/choice.js";
import { differingToken, readVocabulary } from "../../tokenizer/vocabulary.js";
import type { PipelineContext } from "../context.js";

/** A model that was looked at. */
export interface DraftModelFile {
  path: string;
  checkpoint: Checkpoint;
  /** whether tokens were compared by their text; false: neither model has a tokenizer, and there are only ids */
  compared: boolean;
}

/**
 * Looks at a model's files, and whether it means by its tokens what the target does.
 * @param asNamed a folder, a `.gguf` file, `embedded`, or as a document names one of the hub
 * @param target  the model that it is to draft for, likewise
 * @throws DRAFT_MODEL_MISMATCH for another vocabulary; what opening a checkpoint and its tokenizer throws
 */
export async function lookAtDraftModel(asNamed: string, target: string): Promise<DraftModelFile> {
  const path = localModel(asNamed);
  const checkpoint = await openCheckpoint(path);
  checkpoint.close();
  const [ours, theirs] = [await readVocabulary(target), await readVocabulary(path)];
  if (ours === null || theirs === null) {
    if (ours !== theirs) throw mismatch(path, `${ours === null ? target : path} has no tokenizer to compare tokens by`);
    return { path, checkpoint, compared: false };
  }
  const other = differingToken(ours, theirs);
  if (other === null) return { path, checkpoint, compared: true };
  const named = (token: string | null) => (token === null ? "not there" : JSON.stringify(token.slice(0, 40)));
  throw mismatch(
    path,
    `token ${other.id} is ${named(other.draft)} in its vocabulary and ${named(other.target)} in that of ${target}`,
  );
}

/**
 * @throws DRAFT_MODEL_MISMATCH where the draft model is larger than its target, or has other ids where neither has text
 */
export function requireFitsTarget({ path, compared, checkpoint: { spec } }: DraftModelFile, target: ModelSpec): void {
  if (!compared && spec.vocabSize !== target.vocabSize)
    throw mismatch(path, `its vocabulary has ${spec.vocabSize} tokens, and that of ${target.name} ${target.vocabSize}`);
  const [draftParameters, targetParameters] = [activeParametersOf(spec), activeParametersOf(target)];
  const which = [spec, target].some(({ experts }) => experts !== undefined)
    ? "parameters for each token"
    : "parameters";
  if (draftParameters > targetParameters)
    throw mismatch(
      path,
      `it has ${millions(draftParameters)} ${which}, and ${target.name}, which it is to draft for, ${millions(targetParameters)}: drafting would take longer than decoding`,
    );
}

const millions = (count: number): string => `${(count / 1e6).toFixed(count < 1e7 ? 2 : 0)} million`;

/** Opens the model with these kernels, and a cache as large as the target's where its own limit allows. */
export async function openDraftModel(
  path: string,
  kernels: readonly Kernel[],
  capacity: number,
  { provider, threads, ortLibrary, progress }: PipelineContext,
): Promise<DraftModel> {
  const options = { provider, threads, ortLibrary, kernels: kernelsFor(kernels) };
  const { model } = await loadPrepared(path, options, progress, () => ({ capacity }));
  const { weights_sha256: weightsSha256 } = model.ref;
  return { kind: "model", weightsSha256, cache: new OwnCache(model.engine), close: () => model.close() };
}

/** Several of them, each looked at as one is. */
export async function lookAtDraftModels(paths: readonly string[], target: string): Promise<DraftModelFile[]> {
  const found: DraftModelFile[] = [];
  for (const path of paths) found.push(await lookAtDraftModel(path, target));
  return found;
}

/** Opens models to be measured, one after the other, and closes them whatever happens. */
export async function withDraftModels<Result>(
  { files, kernels, capacity }: { files: readonly DraftModelFile[]; kernels: readonly Kernel[]; capacity: number },
  context: PipelineContext,
  use: (models: MeasuredModel[]) => Promise<Result>,
): Promise<Result> {
  const models: MeasuredModel[] = [];
  try {
    for (const { path, checkpoint } of files) {
      const { weightsSha256, cache } = await openDraftModel(path, kernels, capacity, context);
      models.push({ name: checkpoint.spec.name, path, weightsSha256, engine: cache.engine, kernels });
    }
    return await use(models);
  } finally {
    for (const { engine } of models) engine.close();
  }
}

const mismatch = (at: string, what: string) =>
  new DraftplanError({
    code: "DRAFT_MODEL_MISMATCH",
    at,
    what,
    remedy: "Give a smaller model of the same family, with the same tokenizer, or let another draft: --drafter lookup",
  });
