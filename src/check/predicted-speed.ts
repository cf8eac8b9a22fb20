/** Two plans by what they predict, context range by context range. */
import type { Plan, Segment } from "../schema/plan.js";
import { sum } from "../stats/numbers.js";
import { type Overlap, overlaps, whereOf } from "./changes.js";
import type { Checked } from "./documents.js";
import { changePercent, show, showChange } from "./figures.js";
import { type Finding, finding } from "./findings.js";
import { isSameDevice } from "./model.js";
import type { ComparedFigure, Comparison } from "./result.js";

/** Ranges of both plans; past its last segment a plan leaves everything to plain decoding. */
export function rangesOf(before: Plan, after: Plan): Overlap[] {
  const end = Math.max(endOf(before), endOf(after));
  return overlaps(upTo(before, end), upTo(after, end));
}

const endOf = ({ segments }: Plan): number => segments[segments.length - 1].context_tokens.to;

const upTo = (plan: Plan, end: number): Plan =>
  endOf(plan) >= end
    ? plan
    : {
        ...plan,
        segments: [...plan.segments, { context_tokens: { from: endOf(plan), to: end }, speculate: false }],
      };

/** null: a draft whose speed is not predicted */
const speedupOf = ({ speculate, predicted }: Segment): number | null => (speculate ? (predicted?.speedup ?? null) : 1);

interface Verdict {
  findings: Finding[];
  decided: string;
  regressed: boolean;
}

/**
 * Where both predict for the same context, the figures themselves are compared: tokens per second on the same device,
 * speedup otherwise. Ranges that were cut otherwise predict for other contexts, where another speed is no regression: of
 * those only the mean over all contexts decides.
 */
export function comparePredictions(candidate: Checked<Plan>, baseline: Checked<Plan>, tolerance: number): Comparison {
  const devices = [candidate.document.device, baseline.document.device] as const;
  const sameDevice = devices[0] !== undefined && devices[1] !== undefined && isSameDevice(devices[0], devices[1]);
  const ranges = rangesOf(baseline.document, candidate.document);
  const verdicts = ranges.flatMap((range) => judgeRange(candidate, baseline, range, sameDevice, tolerance) ?? []);
  if (verdicts.length < ranges.length) verdicts.push(...judgeMean(candidate, baseline, ranges, tolerance));
  const findings = verdicts.flatMap((verdict) => verdict.findings);
  if (!sameDevice) findings.push(deviceNote(candidate, baseline));
  return {
    findings,
    decided: verdicts.map((verdict) => verdict.decided),
    regressed: verdicts.some((verdict) => verdict.regressed),
    compared: ranges.flatMap((range) => rows(candidate.file, range, sameDevice)),
  };
}

function deviceNote(candidate: Checked<Plan>, baseline: Checked<Plan>): Finding {
  const known = candidate.document.device !== undefined && baseline.document.device !== undefined;
  const why = known ? `${baseline.file} was made on another device` : "one of the two does not record its device";
  return finding("DEVICE_DIFFERS", candidate.file, "device", `${why}: only speedups and acceptance are compared`);
}

/** null where the two do not predict for the same context. */
function judgeRange(
  candidate: Checked<Plan>,
  baseline: Checked<Plan>,
  { from, to, before, after }: Overlap,
  sameDevice: boolean,
  tolerance: number,
): Verdict | null {
  const [old, now] = [before.segment.predicted, after.segment.predicted];
  if (old !== undefined && now !== undefined) {
    if (old.at_context !== now.at_context) return null;
    const name = sameDevice ? "tokens per second" : "speedup";
    const key = sameDevice ? "tokens_per_second" : "speedup";
    const where = `segments[${after.index}].predicted.${key}`;
    const at = `${name} at ${now.at_context} tokens of context`;
    return judge(candidate.file, baseline.file, where, at, old[key], now[key], tolerance);
  }
  const [slow, fast] = [speedupOf(before.segment), speedupOf(after.segment)];
  if (slow === null || fast === null) return null;
  const at = `speedup at context ${from} to ${to}`;
  return judge(candidate.file, baseline.file, whereOf(candidate.document, after.index), at, slow, fast, tolerance);
}

/** The geometric mean of the speedups over the logarithm of the context: speeds change with ratios of contexts. */
function judgeMean(
  candidate: Checked<Plan>,
  baseline: Checked<Plan>,
  ranges: readonly Overlap[],
  tolerance: number,
): Verdict[] {
  const known = ranges.flatMap(({ from, to, before, after }) => {
    const [old, now] = [speedupOf(before.segment), speedupOf(after.segment)];
    return old === null || now === null ? [] : [{ weight: Math.log((to + 1) / (from + 1)), old, now }];
  });
  const total = sum(known.map(({ weight }) => weight));
  if (!(total > 0)) return [];
  const mean = (of: (range: (typeof known)[number]) => number) =>
    Math.exp(sum(known.map((range) => range.weight * Math.log(of(range)))) / total);
  const name = "speedup, mean over all contexts";
  const [old, now] = [mean((range) => range.old), mean((range) => range.now)];
  return [judge(candidate.file, baseline.file, "segments", name, old, now, tolerance)];
}

function judge(
  file: string,
  baseline: string,
  where: string,
  name: string,
  old: number,
  now: number,
  tolerance: number,
): Verdict {
  const change = now / old - 1;
  const regressed = change < -tolerance;
  const figures = `predicted ${name}: ${show(now)} against ${show(old)} (${showChange(change)})`;
  const limit = `tolerance ${show(100 * tolerance)} %`;
  return {
    regressed,
    decided: `${file}: ${figures}, ${regressed ? "beyond" : "within"} the ${limit}`,
    findings: regressed ? [finding("SLOWER_PREDICTED", file, where, `${figures}, ${limit}; baseline ${baseline}`)] : [],
  };
}

function rows(file: string, { from, to, before, after }: Overlap, sameDevice: boolean): ComparedFigure[] {
  const [old, now] = [before.segment, after.segment];
  const figures = [
    { name: "draft tokens", pair: [old.draft_tokens, now.draft_tokens], comparable: false },
    { name: "predicted speedup", pair: [speedupOf(old), speedupOf(now)], comparable: true },
    {
      name: "predicted tokens per second",
      pair: [old.predicted?.tokens_per_second, now.predicted?.tokens_per_second],
      comparable: sameDevice,
    },
    {
      name: "predicted acceptance",
      pair: [old.predicted?.acceptance, now.predicted?.acceptance],
      comparable: true,
    },
  ];
  return figures.flatMap(({ name, pair, comparable }) => {
    const [baseline, candidate] = pair.map((value) => value ?? null);
    if (baseline === null && candidate === null) return [];
    const shown = (value: number | null) => (value === null ? null : { value, interval: null });
    const range = `${from}–${to}`;
    return [
      {
        file,
        range,
        name,
        baseline: shown(baseline),
        candidate: shown(candidate),
        changePercent: comparable ? changePercent(baseline, candidate) : null,
      },
    ];
  });
}
