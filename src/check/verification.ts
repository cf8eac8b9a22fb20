/** A verification against the plan that it names. */
import { deviceSays, differingDeviceKeys } from "../schema/common.js";
import { type Plan, predictedRange, predictionOf, type Segment, type Speed } from "../schema/plan.js";
import type { Verification } from "../schema/verification.js";
import { type Checked, isOfKind, type OpenInput, sameness } from "./documents.js";
import { liesWithin } from "./figures.js";
import { type Finding, finding } from "./findings.js";
import { isSameDevice, modelFindings, tokenizerOf } from "./model.js";

export function verificationPlanFindings(verification: Checked<Verification>, open: OpenInput): Finding[] {
  const { file, document } = verification;
  const opened = open(document.plan.path, file);
  const unavailable = (why: string) => [
    finding("INPUT_UNAVAILABLE", file, "plan.path", `${why}, so nothing was held against it`),
  ];
  if (opened.state === "missing")
    return [...unavailable(`${opened.file} is not there`), ...tokenizers(verification, null, open)];
  if (opened.state === "faulty")
    return [...unavailable(`${opened.file} is no valid document`), ...tokenizers(verification, null, open)];
  const { checked: plan } = opened;
  if (!isOfKind(plan, "draftplan/plan")) {
    const message = `${plan.file} is a ${plan.document.kind}, and a plan is named here`;
    return [finding("INPUT_KIND", file, "plan.path", message)];
  }
  return [
    ...changeFindings(verification, plan),
    ...modelFindings(file, document.model, plan.document.model, "its plan"),
    ...deviceFindings(verification, plan.document),
    ...inputFindings(verification, plan),
    ...extrapolatedFindings(verification, plan),
    // where others drafted than the plan has, or over another cache, nothing of what it predicts was put to the test
    ...(isAsPlanned(document, plan.document) ? contextFindings(file, document, plan.document) : []),
    ...(isAsPlanned(document, plan.document) ? promptFindings(file, document, plan.document) : []),
    ...tokenizers(verification, plan, open),
  ];
}

const isAsPlanned = ({ drafter, draft_cache }: Verification, plan: Plan): boolean =>
  drafter === undefined && draft_cache === plan.draft_cache;

function changeFindings({ file, document }: Checked<Verification>, plan: Checked<Plan>): Finding[] {
  switch (sameness(document.plan.sha256, plan)) {
    case "same":
      return [];
    case "changed":
      return [
        finding(
          "VERIFICATION_STALE",
          file,
          "plan.sha256",
          `${plan.file} is no longer the plan that was verified; verify it again`,
        ),
      ];
    case "unproven": {
      const message = `the bytes of ${plan.file} have changed since it was verified, and as the file is not laid out as draftplan writes it, whether its content has cannot be told`;
      return [finding("INPUT_UNPROVEN", file, "plan.sha256", message)];
    }
  }
}

function deviceFindings({ file, document }: Checked<Verification>, plan: Plan): Finding[] {
  const { device } = plan;
  if (device === undefined) return [];
  const found: Finding[] = [];
  if (!isSameDevice(device, document.device)) {
    const keys = differingDeviceKeys(device, document.device).filter((key) => key !== "runtime");
    const differences = keys
      .map((key) => `${key} ${deviceSays(document.device, key)}, planned for ${deviceSays(device, key)}`)
      .join("; ");
    found.push(finding("DEVICE_DIFFERS", file, "device", `${differences}: only ratios and acceptance compare`));
  }
  if (device.runtime !== document.device.runtime) {
    const message = `verified with ${document.device.runtime}, planned with ${device.runtime}: what was predicted may no longer hold; profile again`;
    found.push(finding("RUNTIME_DIFFERS", file, "device.runtime", message));
  }
  return found;
}

/** The verification names the plan's inputs as well; a plan that is the one verified names the same. */
function inputFindings({ file, document }: Checked<Verification>, plan: Checked<Plan>): Finding[] {
  const [mine, theirs] = [document.inputs, plan.document.inputs];
  if (mine === undefined || sameness(document.plan.sha256, plan) !== "same") return [];
  return (["profile", "calibration"] as const).flatMap((role) => {
    if (mine[role].sha256 === theirs?.[role].sha256) return [];
    return [
      finding("VERIFICATION_MISMATCH", file, `inputs.${role}.sha256`, `${plan.file} was made from another ${role}`),
    ];
  });
}

/** What was predicted beyond the profile stays marked as that. */
function extrapolatedFindings({ file, document }: Checked<Verification>, plan: Checked<Plan>): Finding[] {
  if (sameness(document.plan.sha256, plan) !== "same") return [];
  const [mine, theirs] = [document.extrapolated, plan.document.extrapolated];
  const isSame =
    mine?.beyond_context_tokens === theirs?.beyond_context_tokens &&
    mine?.to_context_tokens === theirs?.to_context_tokens;
  if (isSame) return [];
  const says = theirs === undefined ? "nothing is" : `contexts beyond ${theirs.beyond_context_tokens} are`;
  return [finding("VERIFICATION_MISMATCH", file, "extrapolated", `in ${plan.file} ${says} extrapolated`)];
}

interface Range {
  low: number;
  high: number;
}

/** What the plan predicts over a segment, over the contexts it lists; null where it predicts nothing. */
function rangePredicted(segment: Segment | undefined, key: keyof Speed): Range | null {
  const predicted = segment === undefined ? undefined : predictionOf(segment);
  if (predicted !== undefined) return predictedRange(predicted, key);
  return key === "speedup" && !segment?.speculate ? { low: 1, high: 1 } : null;
}

/** Tokens per second of plain decoding that a segment's predictions imply. */
function plainPredicted(segment: Segment | undefined): Range | null {
  const predicted = segment === undefined ? undefined : predictionOf(segment);
  if (predicted === undefined) return null;
  const { along, ...at } = predicted;
  const rates = (along ?? [at]).map(({ tokens_per_second, speedup }) => tokens_per_second / speedup);
  return { low: Math.min(...rates), high: Math.max(...rates) };
}

const isWithin = (said: number | null, range: Range | null): boolean =>
  said === null || range === null ? said === range : liesWithin(said, range.low, range.high);

const showRange = (range: Range | null): string =>
  range === null ? "nothing" : range.low === range.high ? `${range.low}` : `${range.low} to ${range.high}`;

/** Ranges, and what was predicted for them, are the plan's. */
function contextFindings(file: string, { by_context }: Verification, plan: Plan): Finding[] {
  const end = plan.segments[plan.segments.length - 1].context_tokens.to;
  return by_context.flatMap((record, i) => {
    const wrong = (key: string, message: string) =>
      finding("VERIFICATION_MISMATCH", file, `by_context[${i}].${key}`, message);
    const { from, to } = record.context_tokens;
    const segment = plan.segments.find(({ context_tokens: range }) => range.from === from && range.to === to);
    if (segment === undefined && from !== end)
      return [wrong("context_tokens", `the plan has no segment ${from} to ${to}`)];
    const found: Finding[] = [];
    for (const key of ["tokens_per_second", "speedup"] as const) {
      const said = record[`predicted_${key}`];
      const range = rangePredicted(segment, key);
      if (said !== undefined && !isWithin(said, range))
        found.push(wrong(`predicted_${key}`, `${said}, and the plan predicts ${showRange(range)}`));
    }
    const plain = record.predicted_target_tokens_per_second;
    const plainRange = plainPredicted(segment);
    if (plain !== undefined && !isWithin(plain, plainRange)) {
      const message = `${plain}, and by the plan plain decoding does ${showRange(plainRange)}`;
      found.push(wrong("predicted_target_tokens_per_second", message));
    }
    const { stop, draft_tokens: fixed } = segment ?? {};
    const drafted = stop?.rule === "early" ? stop.draft_tokens : fixed;
    const most = drafted === undefined ? null : drafted + 1;
    const length = record.accepted_length;
    if (length !== null && (most === null || !liesWithin(length, 1, most))) {
      const drafts = most === null ? "the plan drafts nothing here" : `a round of the plan yields at most ${most}`;
      found.push(wrong("accepted_length", `${length}, and ${drafts}`));
    }
    return found;
  });
}

/** A prompt's prediction is a mean of those of the segments it passed through. */
function promptFindings(file: string, { prompts }: Verification, plan: Plan): Finding[] {
  return prompts.flatMap(({ prompt_tokens: first, tokens, speedup, predicted_speedup: said }, i) => {
    if (speedup === null) return []; // nothing was timed, so nothing weighs the prediction
    const passed = segmentsBetween(plan, first, first + tokens);
    const open = passed.some((segment) => segment?.speculate && predictionOf(segment) === undefined);
    const ranges = passed.map((segment) => rangePredicted(segment, "speedup") ?? { low: 1, high: 1 });
    const range = { low: Math.min(...ranges.map((r) => r.low)), high: Math.max(...ranges.map((r) => r.high)) };
    const certain = passed.every((segment) => segment !== undefined && predictionOf(segment) !== undefined);
    if (said === null ? !certain : open || isWithin(said, range)) return [];
    const message = `${said}, and the plan predicts ${showRange(range)} at contexts ${first} to ${first + tokens}`;
    return [finding("VERIFICATION_MISMATCH", file, `prompts[${i}].predicted_speedup`, message)];
  });
}

/** Segments that contexts from first to last lie in; undefined: past the plan's end. */
function segmentsBetween(plan: Plan, first: number, last: number): (Segment | undefined)[] {
  const passed: (Segment | undefined)[] = plan.segments.filter(
    ({ context_tokens: { from, to } }) => first < to && last > from,
  );
  const end = plan.segments[plan.segments.length - 1].context_tokens.to;
  return last >= end ? [...passed, undefined] : passed;
}

/** The calibration behind the plan and the verification's prompts went through one tokenizer. */
function tokenizers(verification: Checked<Verification>, plan: Checked<Plan> | null, open: OpenInput): Finding[] {
  const mine = tokenizerOf(verification);
  const named = verification.document.inputs?.calibration ?? null;
  const opened =
    named !== null
      ? open(named.path, verification.file)
      : plan?.document.inputs !== undefined
        ? open(plan.document.inputs.calibration.path, plan.file)
        : null;
  if (mine === undefined || opened?.state !== "read") return [];
  const theirs = tokenizerOf(opened.checked);
  if (theirs === undefined || theirs.sha256 === mine.sha256) return [];
  const message = `its prompts went through another tokenizer than the text of ${opened.checked.file}`;
  return [finding("TOKENIZER_DIFFERS", verification.file, mine.where, message)];
}
