/** Plans of all methods on one model, measured side by side on text that none of them was chosen on. */
import { basename } from "node:path";
import type { MeasuredModel } from "../../calibrate/along-text.js";
import { holdDocument } from "../../core/document-lock.js";
import type { DraftModel } from "../../decode/drafters/model.js";
import { OwnCache } from "../../decode/drafters/own-cache.js";
import type { Opened } from "../../decode/policy.js";
import type { Checkpoint } from "../../model/spec.js";
import { systemClock } from "../../runtime/device.js";
import type { Calibration } from "../../schema/calibration.js";
import { isShort, kernelsFor } from "../../schema/choice.js";
import type { ComparedRow, Comparison } from "../../schema/comparison.js";
import { writeDocument } from "../../schema/document.js";
import { MAX_TREE_NODES } from "../../schema/drafter.js";
import { withStopRule } from "../../schema/plan.js";
import { openTokenizer } from "../../tokenizer/open.js";
import { promptsDigest, type VerifyPrompt } from "../../verify/index.js";
import { draftModelKernels } from "../choices.js";
import type { PipelineContext } from "../context.js";
import { deviceOf } from "../device.js";
import { lookAtDraftModels, requireFitsTarget, withDraftModels } from "../drafting/draft-models.js";
import { withHeads } from "../drafting/measured.js";
import { FinishedParts } from "../interrupted/finished-parts.js";
import { promptParts } from "../interrupted/verified-prompts.js";
import { defaultPath, drafterSeenFrom, servedName } from "../paths.js";
import { readPrompts } from "../text/prompts.js";
import { requireInVocabulary } from "../text/token-ids.js";
import { rounded, softwareVersions } from "../verify/document.js";
import { withModel } from "../with-model.js";
import { requireMeasuredModels } from "./drafters.js";
import { frontierAt } from "./frontier.js";
import { requireMeasuredHeads } from "./heads.js";
import { type CompareInputs, comparedContexts, openInputs, requireFit, roomFor } from "./inputs.js";
import { mergeMeasured, type SolvedMethod } from "./methods.js";
import { type CompareOptions, type CompareRequest, compareRequest } from "./options.js";
import { Predictor } from "./predict.js";
import { heldBackPrompts, type PromptsAt, promptsByContext } from "./prompts.js";
import { contextsAlong, runPlans } from "./run.js";
import { drawingOf, samplingRecord, warnOfDrawing } from "./sampling.js";
import { type Comparing, taskOf } from "./task.js";
import { writeInputs } from "./written-inputs.js";

/**
 * Plans of all methods, each derived and then run beside the others; gone on with where the same comparison was interrupted.
 * @param model  a model's folder or file, or `embedded`
 * @param output where the comparison is written, and beside it what is made on the way; undefined: the default place; -: it is not written
 * @throws OPTION_INVALID, DOCUMENT_MISMATCH, CONTEXT_LIMIT, CONTEXT_OUT_OF_RANGE, DRAFTER_UNAVAILABLE, DIGEST_MISMATCH where heads
 *   have changed since they were measured, what loading and measuring throw
 */
export async function compareMethods(
  model: string,
  options: CompareOptions,
  output: string | undefined,
  asked: PipelineContext,
): Promise<{ comparison: Comparison; output: string }> {
  const request = compareRequest(options, model, asked);
  const context = { ...asked, targetPrecision: request.target };
  warnOfDrawing(request.sampling, context.progress);
  const tokenizer = await openTokenizer(model);
  const files = await lookAtDraftModels(request.models, model);
  requireMeasuredModels(files, request);
  const given =
    request.promptsFile === null
      ? null
      : await readPrompts(request.promptsFile, async () => tokenizer, context.progress.warn);
  return withModel(
    model,
    { ...context, kernels: kernelsFor(request.choices.filter((choice) => !isShort(choice))) },
    (checkpoint) => {
      for (const file of files) requireFitsTarget(file, checkpoint.spec);
      return prepare(checkpoint, request, given);
    },
    (loaded, { contexts }) =>
      withHeads(
        request.heads.map(({ path }) => path),
        loaded,
        context,
        (heads) => compare({ loaded, request, options, contexts, given, tokenizer, heads, files }, output, context),
      ),
  );
}

function prepare(checkpoint: Checkpoint, request: CompareRequest, given: readonly VerifyPrompt[] | null) {
  const { spec } = checkpoint;
  for (const { ids, name } of given ?? [])
    requireInVocabulary(ids, spec.vocabSize, `${request.promptsFile}: '${name}'`);
  const contexts = comparedContexts(request, spec);
  const reached = [...contexts, ...(given ?? []).map(({ ids }) => ids.length)];
  requireFit(request, checkpoint, reached);
  const calibrated = request.calibration?.document.contexts.map(({ at_context }) => at_context) ?? [];
  const room = roomFor([...reached, ...calibrated], request.maxTokens);
  // a tree is judged whole where there is room for its nodes, and cut where there is not
  const capacity = request.heads.length === 0 ? room : Math.min(spec.contextLimit, room + MAX_TREE_NODES);
  return { contexts, capacity };
}

async function compare(comparing: Comparing, wanted: string | undefined, context: PipelineContext) {
  const { loaded, request, heads } = comparing;
  requireMeasuredHeads(heads, request.heads);
  const name = servedName(loaded.spec.name, { ...context, target: request.target });
  const output = wanted ?? defaultPath("comparison", name);
  const release = holdDocument(output, "compare");
  try {
    const parts = new FinishedParts(output, taskOf(comparing, context), context, comparing.options);
    const comparison = await parts.through(context, () => compareInto(output, name, comparing, parts, context));
    if (output !== "-") writeDocument(output, comparison);
    parts.discard();
    return { comparison, output };
  } finally {
    release();
  }
}

async function compareInto(
  output: string,
  name: string,
  { request: asked, ...opened }: Comparing,
  parts: FinishedParts,
  context: PipelineContext,
) {
  const { loaded, contexts, given, tokenizer, heads, files } = opened;
  const { sampling } = asked;
  const seed = sampling && (await parts.take("seed", async () => sampling.seed));
  const request = { ...asked, sampling: sampling && { ...sampling, seed } };
  const comparing = { request, ...opened };
  const inputs = await openInputs(
    loaded,
    request,
    [...contexts, ...(given ?? []).map(({ ids }) => ids.length)],
    context,
    parts.take,
    heads,
    files,
  );
  const prompts =
    given === null
      ? heldBackPrompts(request.text, tokenizer, contexts, inputs.text)
      : promptsByContext(given, contexts);
  const solved = await solveAll(comparing, inputs, parts, context);
  const calibration = mergeMeasured(
    inputs.calibration,
    solved.map((one) => one.calibration),
  );
  const refs = writeInputs(request, inputs, calibration, output, name);
  const made = { inputs, calibration, refs, prompts, solved, output };
  const kernels = draftModelKernels(loaded.engine.kernels, context);
  const models = { files, kernels, capacity: loaded.engine.capacity };
  return withDraftModels(models, context, (opened) =>
    measure(comparing, made, [...heads.map((one) => one.heads), ...opened.map(asDrafter)], parts, context),
  );
}

interface TimedMethod extends SolvedMethod {
  method: string;
  choices: Comparison["methods"][number]["choices"];
  seconds: number;
}

/** Every method by itself, from the same calibration: what one had measured is no help to another. */
async function solveAll(
  { loaded, request }: Comparing,
  inputs: CompareInputs,
  parts: FinishedParts,
  context: PipelineContext,
) {
  const { progress } = context;
  const { profile, calibration, text } = inputs;
  const solved: TimedMethod[] = [];
  for (const [done, method] of request.methods.entries()) {
    await progress.tick({ stage: `solve: ${method.name}`, done, total: request.methods.length });
    const choices = method.choices(request.choices);
    const measuring = { model: loaded, profile, variants: [choices], text, progress };
    const { seconds, ...one } = await parts.take(`plan of ${method.name}`, async () => {
      const start = systemClock.nowUs();
      const made = await method.solve({ measuring, calibration, choices, refineSeconds: request.refineSeconds });
      return { ...made, seconds: (systemClock.nowUs() - start) / 1e6 };
    });
    solved.push({ ...one, method: method.name, choices: [...choices], seconds });
    solved.push(...otherRule(method.name, one).map((row) => ({ ...row, choices: [...choices], seconds: 0 })));
  }
  return solved;
}

/** The knapsack's plan under the rule of ending drafts that it did not choose, where it weighed one: fixed beside early. */
export function otherRule(name: string, { plan, calibration }: SolvedMethod): (SolvedMethod & { method: string })[] {
  const rules = plan.segments.flatMap(({ stop }) => stop?.rule ?? []);
  if (name !== "knapsack" || rules.length === 0) return [];
  const rule = rules.includes("early") ? "fixed" : "early";
  return [{ method: `knapsack-${rule}`, plan: withStopRule(plan, rule), calibration }];
}

interface Made {
  inputs: CompareInputs;
  /** with what all methods had measured */
  calibration: Calibration;
  refs: Comparison["inputs"];
  prompts: readonly PromptsAt[];
  solved: readonly TimedMethod[];
  /** where the comparison will lie */
  output: string;
}

/** A model that is open, as plans run it; who opened it closes it. */
const asDrafter = ({ engine, weightsSha256 }: MeasuredModel): DraftModel => ({
  ...{ kind: "model", weightsSha256, cache: new OwnCache(engine), close: () => {} },
});

async function measure(
  { loaded, request, tokenizer }: Comparing,
  made: Made,
  open: readonly Opened[],
  parts: FinishedParts,
  context: PipelineContext,
): Promise<Comparison> {
  const { maxTokens, pairs, timeLimitSeconds, text, promptsFile, choices, sampling } = request;
  const { progress } = context;
  const { inputs, calibration, refs, prompts, solved, output } = made;
  const baseline = solved.some(({ method }) => method === "knapsack") ? "knapsack" : solved[0].method;
  const partOf = promptParts(
    solved.map(({ plan }) => plan),
    prompts,
  );
  const plans = solved.map((one) => ({ ...one, predictor: new Predictor(inputs.profile, one.calibration) }));
  const ran = await runPlans({
    ...{
      engine: loaded.engine,
      clock: systemClock,
      plans,
      baseline,
      prompts,
      maxTokens,
      pairs,
      timeLimitSeconds,
      progress,
      open,
      ...drawingOf(sampling),
      keep: (visit, make) => parts.take(partOf(visit), make),
    },
  });
  const own = solved.find(({ method }) => method === "knapsack")?.calibration ?? calibration;
  const source = promptsFile === null ? `${text.source}, the part not chosen on` : basename(promptsFile);
  return rounded<Comparison>({
    kind: "draftplan/comparison",
    version: 1,
    model: loaded.ref,
    device: deviceOf(context, loaded.engine),
    inputs: refs,
    ...(inputs.extrapolated === undefined ? {} : { extrapolated: inputs.extrapolated }),
    text: { source: text.source, sha256: text.sha256 },
    prompts: { source: source.slice(0, 400), sha256: promptsDigest(prompts.flatMap((at) => at.prompts)) },
    tokenizer_sha256: tokenizer.sha256,
    versions: softwareVersions(),
    created: new Date().toISOString(),
    choices: [...choices],
    baseline,
    methods: solved.map(({ method, choices: own, seconds }) => ({ method, choices: own, solve_seconds: seconds })),
    ...{ max_tokens: maxTokens, pairs, time_limit_seconds: timeLimitSeconds },
    ...samplingRecord(sampling),
    lossless: ran.every(({ rows }) => rows.every(({ lossless }) => lossless)),
    contexts: ran.map((at) => {
      const { frontier, ...costs } = frontierAt(
        inputs.profile,
        own,
        choices,
        contextsAlong(at.context_tokens, maxTokens),
      );
      const { context_tokens, rows, ...rest } = at;
      return { context_tokens, ...costs, ...rest, rows: rows.map((row) => seenFromOutput(row, output)), frontier };
    }),
  });
}

/** Folders of heads and other models as seen from where the comparison will lie. */
const seenFromOutput = (row: ComparedRow, output: string): ComparedRow =>
  row.drafter === undefined ? row : { ...row, drafter: drafterSeenFrom(row.drafter, output) };
