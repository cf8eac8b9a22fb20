/** Do a comparison's figures follow from each other? From the document alone. */
import { median } from "simple-statistics";
import { limitsOf } from "../schema/common.js";
import type { ComparedContext, ComparedRow, Comparison } from "../schema/comparison.js";
import { sum } from "../stats/numbers.js";
import { draftFindings } from "./blocks.js";
import { agrees, show } from "./figures.js";
import { type Finding, finding } from "./findings.js";

type Wrong = (where: string, message: string) => Finding;

export function comparisonFindings(file: string, document: Comparison): Finding[] {
  const wrong: Wrong = (where, message) => finding("COMPARISON_INCONSISTENT", file, where, message);
  return [
    ...methodFindings(document, wrong),
    ...orderFindings(document, wrong),
    ...losslessFindings(file, document, wrong),
    ...document.contexts.flatMap((at, i) => contextFindings(file, document, at, `contexts[${i}]`, wrong)),
  ];
}

function methodFindings({ methods, baseline, choices }: Comparison, wrong: Wrong): Finding[] {
  const names = methods.map(({ method }) => method);
  const twice = names.findIndex((name, i) => names.indexOf(name) < i);
  const stray = methods.findIndex((method) => method.choices.some((choice) => !choices.includes(choice)));
  return [
    ...(twice === -1 ? [] : [wrong(`methods[${twice}].method`, `${names[twice]} is named twice`)]),
    ...(stray === -1 ? [] : [wrong(`methods[${stray}].choices`, "a choice that the comparison did not allow")]),
    ...(names.includes(baseline) ? [] : [wrong("baseline", `${baseline} is none of the methods`)]),
  ];
}

function orderFindings({ contexts }: Comparison, wrong: Wrong): Finding[] {
  return contexts.flatMap(({ context_tokens: at }, i) => {
    const before = contexts[i - 1]?.context_tokens;
    if (before === undefined || at > before) return [];
    return [wrong(`contexts[${i}].context_tokens`, `${at} follows ${before}, and contexts rise`)];
  });
}

function losslessFindings(file: string, { contexts, lossless }: Comparison, wrong: Wrong): Finding[] {
  const found: Finding[] = [];
  contexts.forEach(({ rows }, i) => {
    rows.forEach((row, j) => {
      if (row.lossless) return;
      const message = `a run of ${row.method} emitted a token that is not the target's own`;
      found.push(finding("NOT_LOSSLESS", file, `contexts[${i}].rows[${j}].lossless`, message));
    });
  });
  return (found.length === 0) === lossless
    ? found
    : [...found, wrong("lossless", `${lossless}, and ${found.length} rows say otherwise`)];
}

function contextFindings(
  file: string,
  document: Comparison,
  at: ComparedContext,
  where: string,
  wrong: Wrong,
): Finding[] {
  const names = at.rows.map(({ method }) => method);
  const missing = document.methods.find(({ method }) => !names.includes(method));
  const found = missing === undefined ? [] : [wrong(`${where}.rows`, `there is none of ${missing.method}`)];
  const baseline = at.rows.find(({ method }) => method === document.baseline);
  const plain = at.rows.find(({ method }) => method === "none");
  at.rows.forEach((row, i) => {
    const place = `${where}.rows[${i}]`;
    const faults = rowFindings(row, i, at, document, place, wrong);
    found.push(...faults);
    if (row.draft !== undefined) found.push(...draftFindings(file, row.draft, document.model.layers, `${place}.draft`));
    if (faults.length === 0) found.push(...speedFindings(row, { at, plain, baseline }, place, wrong));
  });
  return found;
}

/** Names, lengths and places: what figures can be formed from at all. */
function rowFindings(
  row: ComparedRow,
  index: number,
  { rows, prompts, verify_us }: ComparedContext,
  { methods }: Comparison,
  place: string,
  wrong: Wrong,
): Finding[] {
  const found: Finding[] = [];
  const first = rows.findIndex(({ method }) => method === row.method);
  if (first < index) found.push(wrong(`${place}.method`, `${row.method} has a row already`));
  if (!methods.some(({ method }) => method === row.method))
    found.push(wrong(`${place}.method`, `${row.method} is none of the methods`));
  const other = rows.slice(0, index).find(({ method }) => method === row.same_draft_as);
  if (row.same_draft_as !== undefined && JSON.stringify(other?.us_per_token) !== JSON.stringify(row.us_per_token))
    found.push(wrong(`${place}.same_draft_as`, `its runs are not those of a row ${row.same_draft_as} before it`));
  if (row.draft_tokens !== undefined && row.draft_tokens > verify_us.length)
    found.push(wrong(`${place}.draft_tokens`, `${row.draft_tokens}, and verify_us ends at ${verify_us.length}`));
  const alike = row.us_per_token.every((runs, i) => runs.length === rows[0].us_per_token[i]?.length);
  if (row.us_per_token.length !== prompts.length || !alike)
    found.push(wrong(`${place}.us_per_token`, "not as many prompts and runs as the rows beside it have"));
  return found;
}

interface Beside {
  at: ComparedContext;
  plain: ComparedRow | undefined;
  baseline: ComparedRow | undefined;
}

function speedFindings(row: ComparedRow, { at, plain, baseline }: Beside, place: string, wrong: Wrong): Finding[] {
  const { measured, predicted, prediction_error_percent: error } = row;
  const found: Finding[] = [];
  for (const key of ["tokens_per_second", "speedup", "baseline_speed_ratio"] as const) {
    const limits = limitsOf(measured[key]);
    const middle = measured[key].median;
    if (limits === null || (limits.low <= middle && middle <= limits.high)) continue;
    const message = `${middle} does not lie in its own interval, ${limits.low} to ${limits.high}`;
    found.push(wrong(`${place}.measured.${key}`, message));
  }
  const figures: { where: string; said: number; given: number | null; scale?: number }[] = [
    { where: "measured.tokens_per_second.median", said: measured.tokens_per_second.median, given: speedOf(row, at) },
    { where: "measured.speedup.median", said: measured.speedup.median, given: ratioOf(plain, row, at) },
    {
      where: "measured.baseline_speed_ratio.median",
      said: measured.baseline_speed_ratio.median,
      given: ratioOf(row, baseline, at),
    },
  ];
  if (predicted !== null) {
    const given = (predicted.tokens_per_second * at.target_step_us) / 1e6;
    figures.push({ where: "predicted.speedup", said: predicted.speedup, given });
  }
  if ((predicted === null) !== (error === null))
    found.push(
      wrong(`${place}.prediction_error_percent`, "there is one where, and only where, something was predicted"),
    );
  else if (predicted !== null && error !== null) {
    const given = 100 * (predicted.tokens_per_second / measured.tokens_per_second.median - 1);
    figures.push({ where: "prediction_error_percent", said: error, given, scale: 100 });
  }
  for (const { where, said, given, scale } of figures) {
    if (given === null || agrees(said, given, scale)) continue;
    found.push(wrong(`${place}.${where}`, `${said}, and the figures beside it give ${show(given)}`));
  }
  return found;
}

/** Where logits tie, outputs may differ in length, and their lengths are not in the document. */
const isCounted = (row: ComparedRow): boolean => row.lossless && row.ties === 0;

const timedTokens = ({ prompts }: ComparedContext): number[] => prompts.map(({ tokens }) => tokens - 1);

/** All tokens over all time, each prompt with the median of its runs. */
function speedOf(row: ComparedRow, at: ComparedContext): number | null {
  if (!isCounted(row)) return null;
  const tokens = timedTokens(at);
  return (1e6 * sum(tokens)) / sum(row.us_per_token.map((runs, p) => tokens[p] * median(runs)));
}

/** How much faster `other` is than `one`: as a speedup over plain decoding is found (docs/method.md). */
function ratioOf(one: ComparedRow | undefined, other: ComparedRow | undefined, at: ComparedContext): number | null {
  if (one === undefined || other === undefined || !isCounted(one) || !isCounted(other)) return null;
  const tokens = timedTokens(at);
  const us = one.us_per_token.map((runs, p) => tokens[p] * median(runs));
  const ratios = one.us_per_token.map((runs, p) => median(runs.map((run, k) => run / other.us_per_token[p][k])));
  return sum(us) / sum(us.map((time, p) => time / ratios[p]));
}
