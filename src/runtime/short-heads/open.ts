/** Short heads of a loaded model, converted if need be, beside its engine. */
import { DraftplanError } from "../../core/errors.js";
import { type Progress, silentProgress } from "../../core/progress.js";
import { kernelFor } from "../../model/kernels/registry.js";
import { openCheckpoint } from "../../model/open.js";
import { convertShortHead } from "../../model/short-head/convert.js";
import { HeadRows } from "../../model/short-head/rows.js";
import type { ModelSpec } from "../../model/spec.js";
import { kernelOf, ofTarget, type ShortKernel, shortHeads, shortOf } from "../../schema/choice.js";
import { firstTokens, type TokenRanking } from "../../schema/choices/ranking.js";
import type { TargetPrecision } from "../../schema/numerics.js";
import { Handles } from "../bindings.js";
import type { RuntimeOptions } from "../engine.js";
import { BoundGraph, passThreads } from "../heads/bound-graph.js";
import type { LoadedModel } from "../load.js";
import { loadOrt } from "../ort-api.js";
import { dialectOf } from "../ort-engine.js";
import { chooseProvider, libraryFacts } from "../providers.js";
import { openSession } from "../session.js";
import { sharesThreads } from "../threads/pool.js";
import { withShortHeads } from "./engine.js";
import { ShortHead } from "./short-head.js";
import { TextTokens } from "./text-tokens.js";

/** Which short heads, and what they are over. */
export interface ShortHeadsRequest {
  heads: readonly ShortKernel[];
  ranking: TokenRanking;
}

type Options = Pick<
  RuntimeOptions,
  "provider" | "threads" | "ortLibrary" | "targetPrecision" | "dialect" | "allowFallback"
>;

/**
 * Opens short heads beside a loaded model, whose engine then takes them and closes them.
 * @throws CHOICE_UNAVAILABLE for a head over no fewer tokens than there are, DOCUMENT_MISMATCH for a ranking of another
 *   vocabulary, FILE_UNWRITABLE, RUNTIME_FAILED; nothing stays open then, and the model is as it was
 */
export async function addShortHeads(
  model: LoadedModel,
  { heads, ranking }: ShortHeadsRequest,
  options: Options,
  progress: Progress = silentProgress,
): Promise<void> {
  if (heads.length === 0) return;
  const dialect = { ...dialectOf(options), trees: false, spans: false };
  const forms = namesOf(heads, dialect.targetPrecision).map((name) => ({
    name,
    form: { kernel: kernelOf(name), tokens: tokensOf(name, ranking, model.spec), dialect },
  }));
  const api = loadOrt(options.ortLibrary);
  const provider = chooseProvider(options.provider, libraryFacts(api));
  const handles = new Handles(api);
  const checkpoint = await openCheckpoint(model.path);
  const close = () => {
    handles.releaseAll();
    checkpoint.close();
  };
  try {
    const byName = new Map<ShortKernel, ShortHead>();
    const shared = sharesThreads(api, options.threads);
    for (const { name, form } of forms) {
      const { modelPath } = await convertShortHead(checkpoint, form, progress);
      const { bytes } = kernelFor(form.kernel, dialect.targetPrecision);
      const threads = passThreads(bytes(form.tokens.length, model.spec.hiddenSize, dialect), options.threads, shared);
      const session = openSession(api, handles, provider, modelPath, { ...options, threads });
      byName.set(name, new ShortHead(new BoundGraph(api, handles, session, provider), model.spec, form.tokens));
    }
    const common = inAll(forms.map(({ form }) => form.tokens));
    const rows = new HeadRows(checkpoint);
    const newText = (capacity: number) =>
      new TextTokens(
        capacity,
        model.spec.hiddenSize,
        (token) => common.has(token),
        (token, into) => rows.read(token, into),
      );
    model.engine = withShortHeads(model.engine, { byName, newText, close });
  } catch (error) {
    close();
    throw error;
  }
}

/** Each once; the kernel that the target is computed with is the target's. */
const namesOf = (heads: readonly ShortKernel[], precision: TargetPrecision): ShortKernel[] =>
  shortHeads(heads.map((head) => (kernelOf(head) === precision ? ofTarget(head) : head)));

/** [tokens] rising. @throws CHOICE_UNAVAILABLE, DOCUMENT_MISMATCH */
function tokensOf(name: ShortKernel, ranking: TokenRanking, { name: model, vocabSize }: ModelSpec): Int32Array {
  const count = shortOf(name) as number;
  if (count >= vocabSize)
    throw new DraftplanError({
      code: "CHOICE_UNAVAILABLE",
      at: name,
      what: `a head over ${count} tokens, and ${model} has ${vocabSize} in all`,
      remedy: `Write ${kernelOf(name)} for a head over all of them, or a smaller number.`,
    });
  try {
    return firstTokens(ranking, count, vocabSize).sort();
  } catch (cause) {
    throw new DraftplanError({
      code: "DOCUMENT_MISMATCH",
      at: "ranking",
      what: `its tokens are not those of ${model}: ${cause instanceof Error ? cause.message : cause}`,
      remedy: "Calibrate this model: draftplan calibrate MODEL --choices CHOICES",
      cause,
    });
  }
}

function inAll(lists: readonly Int32Array[]): ReadonlySet<number> {
  const [first, ...others] = lists.map((list) => new Set(list));
  return new Set([...first].filter((token) => others.every((other) => other.has(token))));
}
