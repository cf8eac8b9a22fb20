/** A document in a few lines. */

import { counted } from "../core/text.js";
import type { Calibration } from "../schema/calibration.js";
import type { Device, ModelRef } from "../schema/common.js";
import type { Comparison } from "../schema/comparison.js";
import type { AnyDocument } from "../schema/document.js";
import type { Export } from "../schema/export.js";
import { type Plan, predictionOf, type Segment } from "../schema/plan.js";
import { draftText } from "../schema/plan-text.js";
import type { Profile } from "../schema/profile.js";
import type { Verification } from "../schema/verification.js";
import { extrapolatedLine, formatPercent, limitsText } from "./format.js";
import { headsAccuracyLines, headsCostLines } from "./heads-lines.js";
import { otherDraftersLines } from "./other-drafters-lines.js";
import { originLines } from "./profile-tables.js";
import { targetsLines } from "./targets-table.js";

export function summariseDocument(document: AnyDocument): string[] {
  switch (document.kind) {
    case "draftplan/plan":
      return [modelLine(document.model), ...planLines(document)];
    case "draftplan/profile":
      return [modelLine(document.model), deviceLine(document.device), ...profileLines(document)];
    case "draftplan/calibration":
      return [modelLine(document.model), ...calibrationLines(document)];
    case "draftplan/comparison":
      return [modelLine(document.model), deviceLine(document.device), ...comparisonLines(document)];
    case "draftplan/targets":
      return [modelLine(document.model), deviceLine(document.device), ...targetsLines(document)];
    case "draftplan/export":
      return [modelLine(document.model), ...exportLines(document)];
    case "draftplan/verification":
      return [modelLine(document.model), deviceLine(document.device), ...verificationLines(document)];
  }
}

const modelLine = (model: ModelRef): string =>
  `model ${model.name}, ${model.layers} layers, weights ${model.weights_sha256 === null ? "not recorded" : model.weights_sha256.slice(0, 12)}`;

const deviceLine = (device: Device): string =>
  `device ${device.processor}, ${device.provider}, ${counted(device.threads, "thread")}, ${device.runtime}, ${device.platform}`;

function planLines(plan: Plan): string[] {
  return [
    ...(plan.device === undefined ? [] : [deviceLine(plan.device)]),
    ...(plan.inputs === undefined ? ["written by hand: no inputs recorded"] : []),
    ...extrapolatedLine(plan),
    ...plan.segments.map((segment) => segmentLine(segment, plan.model.layers)),
  ];
}

/** `0 to 1024 tokens: int8 59, skip 1, head int8; 5 drafted a round; predicted 1.48 times, acceptance 93.0 %` */
function segmentLine(segment: Segment, layers: number): string {
  const range = `${segment.context_tokens.from} to ${segment.context_tokens.to} tokens${segment.extrapolated === true ? " (extrapolated)" : ""}`;
  if (!segment.speculate) return `${range}: plain decoding, nothing is drafted`;
  const draft = draftText(segment, layers);
  const { predicted, stop } = segment;
  const gain =
    predicted === undefined
      ? "nothing predicted"
      : `predicted ${(predictionOf(segment) ?? predicted).speedup.toFixed(2)} times, acceptance ${formatPercent(predicted.acceptance)}`;
  const drafted = stop?.rule === "early" ? `up to ${stop.draft_tokens}` : segment.draft_tokens;
  return `${range}: ${draft}; ${drafted} drafted a round; ${gain}`;
}

function profileLines(profile: Profile): string[] {
  const { grid, points, loop, attention_line, sampling } = profile;
  const step = points.filter((point) => point.query_tokens === 1);
  const ms = (us: number) => `${(us / 1000).toFixed(2)} ms`;
  return [
    `contexts ${grid.context_tokens.join(", ")}; query lengths ${grid.query_tokens.join(", ")}; ${points.length} points`,
    ...(step.length === 0
      ? []
      : [
          `one step of the target: ${step.map((point) => `${ms(point.whole_target_us)} at ${point.context_tokens}`).join(", ")}`,
        ]),
    ...attention_line.map(
      (line) =>
        `attention (${line.kernel}, q = 1): ${line.intercept_us.toFixed(1)} µs + ${(1000 * line.slope_us_per_token).toFixed(2)} ns a token, R² ${line.r_squared.toFixed(3)}`,
    ),
    ...headsCostLines(profile),
    `the loop adds ${loop.round_us.toFixed(0)} µs a round, ${loop.step_us.toFixed(0)} µs a step`,
    ...(sampling === undefined
      ? []
      : [
          `${sampling.rounds} interleaved rounds, spread ${sampling.spread_percent.toFixed(1)} %, contention ${sampling.contention_percent.toFixed(1)} %`,
        ]),
    ...originLines(profile),
  ];
}

function calibrationLines(calibration: Calibration): string[] {
  const { text, contexts, measured, heads } = calibration;
  return [
    `text ${text.source}: ${counted(text.prompts.choose, "prompt")} to choose on, ${text.prompts.report} to report on, ${counted(text.continuation_tokens, "token")} each`,
    ...contexts.map((at) => `context ${at.at_context}: ${counted(at.positions, "position")} for each loss`),
    `${measured.length} whole drafts measured`,
    ...headsAccuracyLines(heads),
    ...otherDraftersLines(calibration),
  ];
}

function comparisonLines({ lossless, methods, contexts, baseline, extrapolated }: Comparison): string[] {
  return [
    ...extrapolatedLine({ extrapolated }),
    `${lossless ? "lossless" : "NOT lossless"}: ${methods.map(({ method }) => method).join(", ")}; held against ${baseline}`,
    ...contexts.map(({ context_tokens, rows }) => {
      const speeds = rows.map(
        ({ method, measured }) => `${method} ${measured.tokens_per_second.median.toFixed(1)} tokens/s`,
      );
      return `context ${context_tokens}: ${speeds.join(", ")}`;
    }),
  ];
}

/** Also what `export` itself prints. */
export function exportLines(document: Export): string[] {
  const { engine, segment, drafter, draft, draft_tokens, predicted, files, notes, model } = document;
  const speedup = predicted?.speedup == null ? "" : `, ${predicted.speedup.toFixed(2)} times by the plan's profile`;
  return [
    `for ${engine.name}${engine.tried_version === null ? "" : `, tried with ${engine.tried_version}`}; ${files.length} files`,
    `contexts ${segment.from} to ${segment.to}: ${draftText({ drafter, draft }, model.layers)}; ${draft_tokens} drafted a round`,
    predicted === null
      ? "nothing predicted: acceptance was not measured as this engine drafts"
      : `predicted acceptance ${formatPercent(predicted.acceptance)}, ${predicted.accepted_length.toFixed(2)} tokens a round${speedup}`,
    ...notes.map((note) => `note: ${note}`),
  ];
}

function verificationLines(verification: Verification): string[] {
  const { lossless, ties, tokens, speedup, predicted_speedup, acceptance, prediction_error_percent, alternatives } =
    verification;
  const predicted = predicted_speedup === null ? "nothing predicted" : `predicted ${predicted_speedup.toFixed(2)}`;
  const error = prediction_error_percent === null ? "" : `, off by ${prediction_error_percent.toFixed(1)} %`;
  return [
    `${lossless ? "lossless" : "NOT lossless"}: ${tokens} tokens on ${counted(verification.prompts.length, "prompt")}, ${ties} ties`,
    `speedup ${speedup.median.toFixed(2)} (${limitsText(speedup)}), ${predicted}${error}`,
    ...extrapolatedLine(verification),
    acceptance === null
      ? "nothing was drafted"
      : `acceptance ${formatPercent(acceptance)}, ${verification.accepted_length?.toFixed(2)} tokens a round`,
    ...alternatives.map(
      (other) =>
        `${other.name}: ${other.speedup.median.toFixed(2)} times, ${formatPercent(other.agreement)} of tokens are the target's`,
    ),
  ];
}
