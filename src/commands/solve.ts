/** draftplan solve: a plan from a profile and a calibration; with a model, the best candidates are measured on it. */
import Table from "cli-table3";
import { samplingAt } from "../calibrate/calibrate.js";
import { type Continuation, continuePrompts } from "../calibrate/continuation.js";
import { DraftplanError } from "../core/errors.js";
import { requireSameModel } from "../decode/policy.js";
import { systemClock } from "../runtime/device.js";
import { loadModel } from "../runtime/load.js";
import type { Calibration } from "../schema/calibration.js";
import { describeChoices, expandDraft, kernelsFor } from "../schema/choice.js";
import { type Loaded, readDocumentOf, stringifyDocument, writeDocument } from "../schema/document.js";
import type { Plan, Predicted, Segment } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import { openProblem, planDocument } from "../solve/index.js";
import { openTokenizer } from "../tokenizer/open.js";
import { contextPrompts, readCalibrationText, textCodec } from "./calibration-text.js";
import { type DraftChoice, parseChoices } from "./choices.js";
import type { CommandContext } from "./context.js";
import { measureCandidates } from "./measure-candidates.js";
import { describePairs } from "./measuring.js";
import { defaultPath, inputRef } from "./paths.js";

export interface SolveCommandOptions {
  profile: string;
  calibration: string;
  model?: string;
  choices: string[];
  method: string;
  text?: string[];
  /** seconds for exchanges; 0: none */
  refine?: number;
  output?: string;
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
    notes.push(describePairs(openProblem({ profile: profile.document, calibration: calibration.document, choices })));
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
  const kernels = kernelsFor(choices);
  const model = await loadModel(options.model as string, { ...context, kernels }, context.progress);
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
    const sampling = samplingAt(document.text.temperature);
    const continuations = new Map<number, Continuation[]>();
    for (const { atContext, choose } of prompts) {
      continuations.set(
        atContext,
        await continuePrompts(model.engine, systemClock, choose, continuationTokens, context.progress, sampling),
      );
    }
    const measuring = {
      model,
      profile,
      variants: [choices],
      text: { continuations, prompts, continuationTokens },
      progress: context.progress,
    };
    const grown = await measureCandidates(measuring, document, options.refine);
    const path = calibration.path.replace(/(\.measured)?\.ya?ml$|$/, ".measured.yaml");
    return { document: grown, path, sha256: writeDocument(path, grown) };
  } finally {
    model.close();
  }
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
