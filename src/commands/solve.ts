/** draftplan solve: a plan from a profile and a calibration; with a model, the best candidates are measured on it. */
import Table from "cli-table3";
import { type ContextPrompts, ROUND_TOKENS } from "../calibrate/calibrate.js";
import { type Continuation, continuePrompts } from "../calibrate/continuation.js";
import { measureByDrafting, measureDrafts } from "../calibrate/measure.js";
import { DraftplanError } from "../core/errors.js";
import type { Progress } from "../core/progress.js";
import { requireSameModel } from "../decode/policy.js";
import { systemClock } from "../runtime/device.js";
import { type LoadedModel, loadModel } from "../runtime/load.js";
import type { Calibration } from "../schema/calibration.js";
import { CHOICES, type Choice, choiceKey, compactDraft, describeChoices, expandDraft } from "../schema/choice.js";
import { type Loaded, readDocumentOf, stringifyDocument, writeDocument } from "../schema/document.js";
import type { Plan, Predicted, Segment } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import { contextFor, openProblem, planDocument, planSegments, proposals } from "../solve/index.js";
import { openTokenizer } from "../tokenizer/open.js";
import { contextPrompts, readCalibrationText, textCodec } from "./calibration-text.js";
import type { CommandContext } from "./context.js";
import { defaultPath, inputRef } from "./paths.js";

export interface SolveCommandOptions {
  profile: string;
  calibration: string;
  model?: string;
  choices: string[];
  method: string;
  text?: string[];
  output?: string;
}

type DraftChoice = Exclude<Choice, "target">;

/** Text already continued by the target, and prompts for the report, at each calibrated context. */
export interface MeasuringText {
  continuations: ReadonlyMap<number, Continuation[]>;
  prompts: readonly ContextPrompts[];
  continuationTokens: number;
}

/** Rounds of measuring and solving again; the last changes nothing in practice. */
const MAX_ROUNDS = 4;

/**
 * Measures the frontier's best drafts, corrects the surrogate by them and solves again until nothing better is expected;
 * then measures the plans' own drafts by real drafting on text they were not chosen on.
 * @param variants sets of choices to plan with; their drafts are measured together, since filling the cache with a long
 *                 prompt costs more than a draft's passes over it
 * @returns the calibration with everything measured in it
 */
export async function measureCandidates(
  model: LoadedModel,
  profile: Profile,
  calibration: Calibration,
  variants: readonly (readonly DraftChoice[])[],
  text: MeasuringText,
  progress: Progress,
): Promise<Calibration> {
  let grown = calibration;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const problems = variants.map((choices) => openProblem({ profile, calibration: grown, choices }));
    const found: Calibration["measured"] = [];
    for (const [index, { losses }] of problems[0].contexts.entries()) {
      const at = losses.at_context;
      const wanted = problems.flatMap((problem) => proposals(problem, problem.contexts[index], round === 0));
      const sets = [...new Map(wanted.map((set) => [choiceKey(set), set])).values()];
      if (sets.length === 0) continue;
      const curves = await measureDrafts(model.engine, text.continuations.get(at) ?? [], sets, ROUND_TOKENS, progress);
      sets.forEach((set, i) => {
        found.push({
          at_context: at,
          part: "choose",
          draft: compactDraft(set),
          tokens: curves[i].tokens,
          curve: curves[i].curve,
        });
      });
    }
    if (found.length === 0) break;
    grown = { ...grown, measured: [...grown.measured, ...found] };
  }
  for (const choices of variants) grown = await measureReport(model, profile, grown, choices, text, progress);
  return grown;
}

async function measureReport(
  model: LoadedModel,
  profile: Profile,
  calibration: Calibration,
  choices: readonly DraftChoice[],
  text: MeasuringText,
  progress: Progress,
): Promise<Calibration> {
  const problem = openProblem({ profile, calibration, choices });
  const measured = [...calibration.measured];
  for (const { draft, draft_tokens, predicted } of planSegments(problem)) {
    if (draft === undefined || draft_tokens === undefined || predicted === undefined) continue;
    const context = contextFor(problem, predicted.at_context);
    const at = context.losses.at_context;
    const set = expandDraft(draft, problem.layers, "plan");
    const key = choiceKey(set);
    if (context.measured.some((m) => m.part === "report" && m.key === key && m.curve.length > draft_tokens)) continue;
    const prompts = text.prompts.find(({ atContext }) => atContext === at)?.report ?? [];
    const trial = { choices: set, draftTokens: draft_tokens };
    const { tokens, curve } = await measureByDrafting(
      model.engine,
      systemClock,
      prompts,
      trial,
      text.continuationTokens,
      progress,
    );
    measured.push({ at_context: at, part: "report", draft, tokens, curve });
  }
  return { ...calibration, measured };
}

export async function solveCommand(options: SolveCommandOptions, context: CommandContext): Promise<void> {
  const choices = parseChoices(options.choices);
  requireMethod(options.method);
  const profile = readDocumentOf("draftplan/profile", options.profile);
  let calibration = readDocumentOf("draftplan/calibration", options.calibration);
  openProblem({ profile: profile.document, calibration: calibration.document, choices }); // refuse before anything long begins
  const notes: string[] = [];
  if (options.model !== undefined) {
    calibration = await measureInto(options, profile.document, calibration, choices, context);
    notes.push(`Calibration with what was measured: ${calibration.path}`);
  } else if (calibration.document.measured.every(({ part }) => part !== "choose")) {
    context.progress.warn(
      "NOT_MEASURED",
      "no draft of this calibration was measured: predictions rest on the surrogate alone; add --model MODEL",
    );
  }
  const output = options.output ?? defaultPath("plan", calibration.document.model.name);
  const inputs = { profile: inputRef(profile, output), calibration: inputRef(calibration, output) };
  const plan = planDocument({ profile: profile.document, calibration: calibration.document, choices }, inputs);
  if (output === "-") return context.print(context.json ? JSON.stringify(plan) : stringifyDocument(plan).trimEnd());
  writeDocument(output, plan);
  context.print(context.json ? JSON.stringify(plan) : [planTable(plan), "", `Plan: ${output}`, ...notes].join("\n"));
}

async function measureInto(
  options: SolveCommandOptions,
  profile: Profile,
  calibration: Loaded<Calibration>,
  choices: readonly DraftChoice[],
  context: CommandContext,
): Promise<Loaded<Calibration>> {
  const text = readCalibrationText(options.text);
  const { document } = calibration;
  if (text.sha256 !== document.text.sha256) {
    throw new DraftplanError({
      code: "DIGEST_MISMATCH",
      at: `${calibration.path}: text.sha256`,
      what: `the calibration was made on other text (${document.text.source})`,
      remedy: "Give the same files with --text, or calibrate again.",
    });
  }
  const model = await loadModel(options.model as string, context, context.progress);
  try {
    requireSameModel(
      document,
      { spec: model.spec, architectureSha256: model.ref.architecture_sha256, weightsSha256: model.ref.weights_sha256 },
      calibration.path,
    );
    const codec = textCodec(await openTokenizer(model.path));
    const contexts = document.contexts.map(({ at_context }) => at_context);
    const prompts = contextPrompts(text, codec, contexts);
    const continuationTokens = document.text.continuation_tokens;
    const continuations = new Map<number, Continuation[]>();
    for (const { atContext, choose } of prompts) {
      continuations.set(
        atContext,
        await continuePrompts(model.engine, systemClock, choose, continuationTokens, context.progress),
      );
    }
    const measuring = { continuations, prompts, continuationTokens };
    const grown = await measureCandidates(model, profile, document, [choices], measuring, context.progress);
    const path = calibration.path.replace(/(\.measured)?\.ya?ml$|$/, ".measured.yaml");
    return { document: grown, path, sha256: writeDocument(path, grown) };
  } finally {
    model.close();
  }
}

function parseChoices(names: readonly string[]): DraftChoice[] {
  const allowed = CHOICES.filter((choice): choice is DraftChoice => choice !== "target");
  for (const name of names) {
    if ((allowed as string[]).includes(name)) continue;
    throw new DraftplanError({
      code: "OPTION_INVALID",
      at: `--choices ${names.join(",")}`,
      what: `'${name}' is not something a draft can do with a block`,
      remedy: `Use any of: ${allowed.join(",")} (target is always there).`,
    });
  }
  return allowed.filter((choice) => names.includes(choice));
}

function requireMethod(method: string): void {
  if (method === "knapsack") return;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `--method ${method}`,
    what: "this method does not exist",
    remedy: "Use --method knapsack.",
  });
}

/** `0 to 1024: skip 2, int8 58, head int8; d 5; predicted 1.48 times` for each segment. */
export function describeSegment(segment: Segment, layers: number): string {
  const { from, to } = segment.context_tokens;
  if (segment.draft === undefined) return `context ${from} to ${to}: do not speculate, plain decoding is as fast`;
  const set = expandDraft(segment.draft, layers, "plan");
  const skipped =
    segment.draft.skip.length > 0 && segment.draft.skip.length <= 8 ? ` (${segment.draft.skip.join(" ")})` : "";
  return `context ${from} to ${to}: draft ${segment.draft_tokens} tokens with ${describeChoices(set)}${skipped}`;
}

/** `1.48` and, where the profile has resamples, `1.44 to 1.53` below it. */
function speedupWithInterval({ speedup, speedup_interval: interval }: Predicted): string {
  const estimate = speedup.toFixed(2);
  return interval === undefined ? estimate : `${estimate}\n${interval.low.toFixed(2)} to\n${interval.high.toFixed(2)}`;
}

export function planTable(plan: Plan): string {
  const table = new Table({
    head: ["context", "d", "draft", "accepted", "draft / verify / step", "tokens/s", "speedup"],
    colWidths: [13, 4, 20, 10, 15, 10, 9],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const { context_tokens: range, draft, draft_tokens, predicted } of plan.segments) {
    const context = `${range.from} to ${range.to}`;
    if (draft === undefined) {
      table.push([context, "-", "none: plain decoding is as fast", "-", "-", "-", "1"]);
      continue;
    }
    const ms = (us: number | undefined) => (us === undefined ? "?" : (us / 1000).toFixed(1));
    table.push([
      context,
      draft_tokens ?? "-",
      describeChoices(expandDraft(draft, plan.model.layers, "plan")),
      predicted === undefined ? "?" : `${(100 * predicted.acceptance).toFixed(1)} %`,
      `${ms(predicted?.draft_us)} / ${ms(predicted?.verify_us)} / ${ms(predicted?.target_step_us)} ms`,
      predicted?.tokens_per_second.toFixed(1) ?? "?",
      predicted === undefined ? "?" : speedupWithInterval(predicted),
    ]);
  }
  return table.toString();
}
