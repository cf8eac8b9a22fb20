/** What an engine counted, held against what was predicted for it; with a calibration, as evidence to plan again from. */
import { type Finding, finding } from "../check/findings.js";
import type { CheckResult, ComparedFigure, ComparedValue } from "../check/result.js";
import { DraftplanError } from "../core/errors.js";
import { readUserFile } from "../core/user-file.js";
import { utf8Text } from "../core/utf8.js";
import { chooseDraft } from "../export/choose.js";
import { type EngineCounts, type EngineFigures, figuresOf, type Measured, missingAtEnds } from "../metrics/counts.js";
import { readMetrics } from "../metrics/read.js";
import { shapedCurve } from "../metrics/shaped.js";
import type { Calibration, MeasuredDraft } from "../schema/calibration.js";
import { choiceKey, type Draft, expandDraft } from "../schema/choice.js";
import type { Loaded } from "../schema/document.js";
import { lookupIn } from "../schema/drafter.js";
import { type Export, type ExportPrediction, whereDrafted } from "../schema/export.js";
import type { Plan } from "../schema/plan.js";
import { significant, sum } from "../stats/numbers.js";
import { exportPrediction } from "./export/predict.js";

export interface ImportMetricsRequest {
  /** the engine's figures */
  file: string;
  /** what they are held against */
  against: { export: Loaded<Export> } | { plan: Loaded<Plan>; context: number | undefined };
  /** fewer tokens a round by no more than this are as predicted */
  tolerancePercent: number;
  /** that the measured curve is added to */
  calibration?: Loaded<Calibration> | undefined;
}

export interface ImportedMetrics {
  counts: EngineCounts;
  figures: EngineFigures;
  result: CheckResult;
  /** the calibration with what the engine saw; null: none was given */
  calibration: Calibration | null;
  /** its curve has the predicted one's shape, since the engine does not tell acceptance by position */
  isShaped: boolean;
}

/** One draft, as a document has it. */
interface Expected {
  path: string;
  /** null: a plan is for any */
  engine: string | null;
  model: Plan["model"];
  range: { from: number; to: number };
  draft: Draft | undefined;
  draftTokens: number;
  /** a lookup drafts as far as the text that it found goes on */
  varies: boolean;
  /** of the rounds that the engine counts */
  predicted: ExportPrediction | null;
  /** in the bundled decoder; null: the document does not say */
  tokensPerSecond: number | null;
}

const MAX_BYTES = 256 << 20;

/**
 * @throws FILE_UNREADABLE, METRICS_UNKNOWN, METRICS_EMPTY, DOCUMENT_MISMATCH where the file is of another engine or the
 *   calibration of another model, OPTION_INVALID where the engine does not tell what a calibration needs
 */
export function importMetrics(request: ImportMetricsRequest): ImportedMetrics {
  const { file } = request;
  const text = utf8Text(readUserFile(file, MAX_BYTES, "Name a file of the engine's figures."), file);
  const counts = readMetrics(text, file);
  const figures = figuresOf(counts);
  const expected = ofCounted(expectedOf(request.against), counts);
  requireEngine(file, counts, expected);
  const calibration = request.calibration === undefined ? null : grown(request.calibration, counts, figures, expected);
  const isShaped = calibration !== null && figures.curve === null;
  return { counts, figures, calibration, isShaped, result: judged(request, counts, figures, expected) };
}

function expectedOf(against: ImportMetricsRequest["against"]): Expected {
  if ("export" in against) {
    const { path, document } = against.export;
    const { engine, model, segment, drafter, draft, draft_tokens, predicted } = document;
    const figures = {
      draft,
      draftTokens: draft_tokens,
      varies: lookupIn(drafter) !== null,
      predicted,
      tokensPerSecond: null,
    };
    return { path, engine: engine.name, model, range: segment, ...figures };
  }
  const { plan, context } = against;
  const chosen = chooseDraft(plan, context);
  const { context_tokens, draft, predicted } = chosen.segment;
  return {
    ...{ path: plan.path, engine: null, model: plan.document.model, range: context_tokens, draft },
    draftTokens: chosen.draftTokens,
    varies: lookupIn(chosen.drafter) !== null,
    predicted: exportPrediction(plan, chosen),
    tokensPerSecond: predicted?.tokens_per_second ?? null,
  };
}

/** Engines count rounds in which something is drafted; what is predicted of a lookup is a mean over all others too. */
function ofCounted(expected: Expected, { everyRound }: EngineCounts): Expected {
  const { predicted } = expected;
  if (predicted === null || everyRound) return expected;
  const { curve, length } = whereDrafted(predicted);
  return { ...expected, predicted: { ...predicted, acceptance_curve: curve, accepted_length: length } };
}

function requireEngine(file: string, { engine, form }: EngineCounts, expected: Expected): void {
  if (expected.engine === null || expected.engine === engine) return;
  throw new DraftplanError({
    code: "DOCUMENT_MISMATCH",
    at: file,
    what: `it is ${form}, and ${expected.path} was exported to ${expected.engine}`,
    remedy: `Name the export that ${engine} runs, or --plan PLAN for a draft of any engine.`,
  });
}

// --------------------------------------------------------------------------------------------------- judging

const WORDS = {
  beside: "what was predicted",
  baseline: "predicted",
  candidate: "in the engine",
  regressed: "fewer tokens are accepted than predicted",
};

/** Tokens a round decide; shares and positions are shown beside them. */
function judged(
  { file, tolerancePercent }: ImportMetricsRequest,
  counts: EngineCounts,
  figures: EngineFigures,
  expected: Expected,
): CheckResult {
  const ends = figures.draftTokens === null ? "as planned" : lengthsBy(counts, figures.draftTokens, expected);
  const lengths = lengthFindings(file, figures, expected, ends);
  const compared = comparedFigures(file, figures, expected);
  const base = { files: [file], compared, words: WORDS };
  const { predicted } = expected;
  if (predicted === null) {
    const message =
      expected.draft === undefined
        ? `${expected.path} predicts nothing of what the engine drafts; an export's notes say why`
        : `${expected.path} predicts nothing of a draft as engines have it, with a cache of its own: calibrate --standalone measures it, or the export's notes say why`;
    const findings = [...lengths, finding("NOTHING_COMPARED", file, "", message)];
    return { ...base, findings, regressed: false, inconclusive: false, decided: [] };
  }
  const { measured, wanted, what } = criterion(figures, predicted, expected.draftTokens, ends === "shorter at ends");
  const least = wanted * (1 - tolerancePercent / 100);
  const numbers = `${what} ${show(measured)} by ${counts.form}, predicted ${significant(wanted, 4)} (at ${predicted.at_context} tokens of context), tolerance ${tolerancePercent} %`;
  const lower = measured.interval === null ? null : measured.interval[1] < least;
  const findings = [...lengths];
  if (lower === true) findings.push(finding("ACCEPTANCE_LOWER", file, "", numbers));
  const unknown = lower === null && measured.value < least;
  if (unknown) {
    const message = `${numbers}: lower, and by what the engine tells there is no interval to decide by`;
    findings.push(finding("MEASUREMENT_INCONCLUSIVE", file, "", message));
  }
  return { ...base, findings, regressed: lower === true, inconclusive: unknown, decided: [numbers] };
}

/**
 * Where the last rounds of answers draft fewer tokens, fewer are accepted: a round of k tokens has Σ_{i≤k} a_i of them accepted,
 * which is k / d of a whole one's or more, since a_i never rises. So that share of them is asked for, which errs on the
 * engine's side.
 */
function criterion(
  { acceptedLength, acceptedShare, draftTokens: drafted }: EngineFigures,
  { accepted_length, acceptance_curve }: ExportPrediction,
  draftTokens: number,
  isCut: boolean,
): { measured: Measured; wanted: number; what: string } {
  if (acceptedLength !== null) {
    if (!isCut || drafted === null)
      return { measured: acceptedLength, wanted: accepted_length, what: "tokens a round" };
    const wanted = 1 + (accepted_length - 1) * (drafted / draftTokens);
    return { measured: acceptedLength, wanted, what: `tokens a round, shorter ones at answers' ends among them,` };
  }
  if (acceptedShare === null) throw new Error("figures without acceptance are refused where they are read");
  const wanted = (sum(acceptance_curve) - 1) / draftTokens;
  return { measured: acceptedShare, wanted, what: "accepted of all drafted tokens" };
}

const show = ({ value, interval }: Measured): string =>
  interval === null
    ? `${significant(value, 4)}`
    : `${significant(value, 4)} (95 %: ${significant(interval[0], 4)} to ${significant(interval[1], 4)})`;

/** share of a round's length from which on another one is meant */
const LENGTH_TOLERANCE = 0.1;

/** What may be told of the length of drafts from their mean alone. */
function lengthsBy(
  counts: EngineCounts,
  drafted: number,
  { draftTokens, varies }: Expected,
): "as planned" | "shorter at ends" | "others" {
  if (drafted > draftTokens) return drafted < (1 + LENGTH_TOLERANCE) * draftTokens ? "as planned" : "others";
  if (varies) return "as planned";
  const missing = (draftTokens - drafted) * (counts.rounds ?? 0);
  if (missing > 0 && missing <= missingAtEnds(counts, draftTokens)) return "shorter at ends";
  return drafted > (1 - LENGTH_TOLERANCE) * draftTokens ? "as planned" : "others";
}

function lengthFindings(
  file: string,
  { draftTokens }: EngineFigures,
  expected: Expected,
  lengths: ReturnType<typeof lengthsBy>,
): Finding[] {
  if (draftTokens === null || lengths !== "others") return [];
  const message = `${significant(draftTokens, 3)} tokens are drafted a round, and ${expected.path} drafts ${expected.draftTokens}`;
  return [finding("DRAFT_LENGTH_DIFFERS", file, "", message)];
}

function comparedFigures(file: string, figures: EngineFigures, expected: Expected): ComparedFigure[] {
  const { predicted, draftTokens: d, range } = expected;
  const curve = predicted?.acceptance_curve;
  const row = (
    name: string,
    baseline: number | null | undefined,
    candidate: ComparedValue | number | null | undefined,
  ): ComparedFigure[] => {
    if (candidate === null || candidate === undefined) return [];
    const measured = typeof candidate === "number" ? { value: candidate, interval: null } : candidate;
    const wanted = baseline === null || baseline === undefined ? null : { value: baseline, interval: null };
    const changePercent = wanted === null || wanted.value === 0 ? null : (measured.value / wanted.value - 1) * 100;
    return [{ file, range: `${range.from}–${range.to}`, name, baseline: wanted, candidate: measured, changePercent }];
  };
  return [
    ...row("tokens a round (1 + Σ a_i)", predicted?.accepted_length, figures.acceptedLength),
    ...row("accepted of all drafted (Σ a_i / d)", curve && (sum(curve) - 1) / d, figures.acceptedShare),
    ...row("acceptance rate, to the first rejection", predicted?.acceptance, figures.acceptance),
    ...(figures.curve ?? []).flatMap((a, i) => (i === 0 ? [] : row(`a_${i}`, curve?.[i], a))),
    ...row("tokens drafted a round", d, figures.draftTokens),
    ...row("tokens per second", expected.tokensPerSecond, figures.tokensPerSecond),
  ];
}

// ----------------------------------------------------------------------------------------------- calibration

/**
 * The engine's curve in place of what the calibration had of this draft with a cache of its own at the nearest context: for
 * both parts, since no text was chosen on there.
 */
function grown(
  { document, path }: Loaded<Calibration>,
  counts: EngineCounts,
  figures: EngineFigures,
  { draft, draftTokens, model, predicted, range, path: at }: Expected,
): Calibration {
  const { rounds, acceptedAt, evaluatedAt, form } = counts;
  const invalid = (what: string, remedy: string) =>
    new DraftplanError({ code: "OPTION_INVALID", at: "--calibration", what, remedy });
  if (draft === undefined)
    throw invalid(
      `${at} is no draft of the model's own blocks, of which alone a calibration has curves`,
      "Leave it out.",
    );
  const curve = figures.curve ?? shapedCurve(counts, predicted?.acceptance_curve ?? null, draftTokens);
  if (curve === null || rounds === null)
    throw invalid(`${form} tells means alone, and a curve is made of counts`, "Leave it out.");
  const { architecture_sha256, weights_sha256 } = document.model;
  if (architecture_sha256 !== model.architecture_sha256 || weights_sha256 !== model.weights_sha256)
    throw new DraftplanError({
      code: "DOCUMENT_MISMATCH",
      at: path,
      what: `it is of another model (${document.model.name}) than ${at} (${model.name})`,
      remedy: "Give the calibration that the plan was made from.",
    });
  const wanted = predicted?.at_context ?? Math.sqrt(Math.max(1, range.from) * range.to);
  const distance = (n: number) => Math.abs(Math.log((n + 1) / (wanted + 1)));
  const atContext = document.contexts.map(({ at_context }) => at_context).sort((a, b) => distance(a) - distance(b))[0];
  const keyOf = (one: Draft) => choiceKey(expandDraft(one, document.model.layers, path));
  const key = keyOf(draft);
  const kept = document.measured.filter(
    (one) => one.draft_cache !== "own" || one.at_context !== atContext || keyOf(one.draft) !== key,
  );
  // where it does not tell by position, as many as the curve has come there
  const cameTo =
    evaluatedAt ??
    (acceptedAt === null ? curve.slice(0, -1).map((a) => a * rounds) : [rounds, ...acceptedAt.slice(0, -1)]);
  const reached = cameTo.map(Math.round);
  const seen = (part: MeasuredDraft["part"]): MeasuredDraft => ({
    ...{ at_context: atContext, part, draft, draft_cache: "own", tokens: Math.max(1, sum(reached)) },
    curve: curve.map((a) => significant(a, 6)),
    reached,
  });
  return { ...document, measured: [...kept, seen("choose"), seen("report")] };
}
