/** What `run` ends with: the plans in a line each, predicted and measured, and what to type next. */
import { counted } from "../core/text.js";
import type { RunPaths, RunResult } from "../pipeline/run/variants.js";
import { areAlike, type Plan } from "../schema/plan.js";
import type { Verification } from "../schema/verification.js";
import { limitsText } from "./format.js";
import { describeSegment } from "./plan-table.js";
import { drawTable, TABLE_COLUMNS } from "./table.js";

export function runSummary(result: RunResult, paths: RunPaths, modelPath: string, columns = TABLE_COLUMNS): string {
  const { plan, planSkip, planSelf, planHeads, verification, profile } = result;
  const { device } = profile;
  return [
    `${plan.model.name} on ${device.processor}, ${counted(device.threads, "thread")} (${device.provider}), one sequence at a time`,
    "",
    ...planLines("Plan", plan),
    ...(planHeads === undefined ? [] : planLines("Heads", planHeads)),
    ...(planSelf === undefined ? [] : planLines("Own blocks", planSelf)),
    ...planLines("Skip-only plan", planSkip),
    "",
    comparison(result, columns),
    ...verdict(verification, plan),
    "",
    `Documents: ${Object.values(paths).join("\n           ")}`,
    "",
    "Next:",
    `  draftplan generate ${quoted(modelPath)} --plan ${paths.plan} --prompt "..."`,
    `  draftplan verify ${paths.plan} --model ${quoted(modelPath)} --prompts FILE`,
    `  draftplan compare ${quoted(modelPath)} --targets fp32,int8,int4   which precision and drafter is fastest, and what each loses`,
    ...(modelPath === "embedded"
      ? ["  draftplan run MODEL        for your own model: a Hugging Face folder or a .gguf file"]
      : []),
  ].join("\n");
}

const quoted = (path: string): string => (/^[\w./~-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`);

function planLines(title: string, plan: Plan): string[] {
  return plan.segments.map(
    (segment, i) => `${(i === 0 ? title : "").padEnd(15)} ${describeSegment(segment, plan.model.layers)}`,
  );
}

const times = (x: number) => `${x.toFixed(2)}x`;

/** Every plan with what it drafts with; the best of all stands first, and a plan that it is equal to is not told twice. */
function rowsOf(result: RunResult): [name: string, verification: Verification][] {
  const { plan, planSelf, planHeads, verification, verificationHeads, verificationSelf, verificationSkip } = result;
  const skip: [string, Verification] = ["skip-only plan", verificationSkip];
  if (verificationHeads === undefined || verificationSelf === undefined) return [["plan", verification], skip];
  const kinds = new Set(
    plan.segments.flatMap(({ speculate, drafter }) => (speculate ? (drafter?.kind ?? "self") : [])),
  );
  const isHeads = planHeads !== undefined && areAlike(plan, planHeads);
  const isSelf = planSelf !== undefined && areAlike(plan, planSelf);
  const who = kinds.size === 2 ? "heads, own blocks" : kinds.has("heads") ? "heads" : "own blocks";
  return [
    [`plan: ${kinds.size === 0 ? "plain" : who}`, verification],
    ...(isHeads
      ? []
      : ([[speculates(planHeads) ? "heads alone" : "heads alone: plain", verificationHeads]] as [
          string,
          Verification,
        ][])),
    ...(isSelf
      ? []
      : ([[speculates(planSelf) ? "own blocks" : "own blocks: plain", verificationSelf]] as [string, Verification][])),
    skip,
  ];
}

const speculates = (plan: Plan | undefined): boolean => plan?.segments.some((segment) => segment.speculate) ?? false;

function comparison(result: RunResult, columns: number): string {
  const mixed = result.verification;
  const head = ["decoding", "tokens/s", "speedup", "95 % interval", "predicted", "output"];
  const plain = ["target, plain", mixed.tokens_per_second.target.toFixed(1), "1.00x", "", "", "the target's own"];
  const plans = rowsOf(result).map(([name, v]) => [
    name,
    v.tokens_per_second.plan.toFixed(1),
    times(v.speedup.median),
    v.acceptance === null ? "" : limitsText(v.speedup),
    predictedText(v),
    output(v),
  ]);
  const others = mixed.alternatives.map((other) => [
    other.name,
    other.tokens_per_second.toFixed(1),
    times(other.speedup.median),
    limitsText(other.speedup),
    "",
    `not lossless:\n${(100 * other.agreement).toFixed(1)} % of tokens agree`,
  ]);
  return drawTable({ head, rows: [plain, ...plans, ...others] }, columns);
}

/** `1.22x ± 0.04`: with its standard error, where that is known. */
function predictedText({ predicted_speedup: predicted, predicted_speedup_error: error }: Verification): string {
  if (predicted === null) return "";
  return error === undefined ? times(predicted) : `${times(predicted)} ± ${(predicted * error).toFixed(2)}`;
}

function output({ lossless, ties, tokens }: Verification): string {
  if (!lossless) return "NOT the target's own";
  return ties === 0 ? "the target's own" : `the target's own\n(${ties} of ${tokens} ties)`;
}

function verdict(v: Verification, plan: Plan): string[] {
  if (!v.lossless) {
    return [
      "",
      "The plan's output is not the target's own. That is a bug: do not use this plan, and please report it.",
    ];
  }
  const speculates = plan.segments.some(({ speculate }) => speculate);
  if (!speculates) return ["", "No draft beats plain decoding here, so the plan does not speculate."];
  const error = v.prediction_error_percent;
  const off = error === null ? "" : `, ${Math.abs(error).toFixed(1)} % ${error < 0 ? "more" : "less"} than predicted`;
  return [
    "",
    `With the plan decoding is ${times(v.speedup.median)} as fast${off}; all ${v.tokens} tokens compared are the target's own.`,
  ];
}
