/** Two verifications by what they measured. Their runs were not made side by side, so only whole intervals decide. */
import { limitsOf } from "../schema/common.js";
import type { Verification } from "../schema/verification.js";
import type { Checked } from "./documents.js";
import { changePercent, show, showChange } from "./figures.js";
import { type Finding, finding } from "./findings.js";
import { isSameDevice } from "./model.js";
import type { ComparedFigure, ComparedValue, Comparison } from "./result.js";

export function compareVerified(
  candidate: Checked<Verification>,
  baseline: Checked<Verification>,
  tolerance: number,
): Comparison {
  const [now, old] = [candidate.document, baseline.document];
  const { file } = candidate;
  const sameDevice = isSameDevice(now.device, old.device);
  const findings: Finding[] = [];
  if (!sameDevice) {
    const message = `${baseline.file} was measured on another device: only speedups and acceptance are compared`;
    findings.push(finding("DEVICE_DIFFERS", file, "device", message));
  }
  const compared = rows(file, now, old, sameDevice);
  if (now.prompts_sha256 !== old.prompts_sha256 || now.max_tokens !== old.max_tokens) {
    const message = `${baseline.file} ran other prompts, or another number of tokens: what was measured is not compared`;
    findings.push(finding("NOT_COMPARED", file, "prompts_sha256", message));
    return {
      findings,
      compared: compared.map((row) => ({ ...row, changePercent: null })),
      decided: [],
      regressed: false,
    };
  }
  const [nowLimits, oldLimits] = [limitsOf(now.speedup), limitsOf(old.speedup)];
  if (nowLimits === null || oldLimits === null) {
    const which = nowLimits === null ? file : baseline.file;
    const message = `${which} timed fewer than 4 prompts and has no interval: its speedup is not compared`;
    findings.push(finding("NOT_COMPARED", file, "speedup", message));
    return { findings, compared, decided: [], regressed: false };
  }
  const limit = (1 - tolerance) * oldLimits.low;
  const regressed = nowLimits.high < limit;
  const change = showChange(now.speedup.median / old.speedup.median - 1);
  const figures = `measured speedup ${showInterval(now)} against ${showInterval(old)} (${change})`;
  const bound = `the baseline's lowest less ${show(100 * tolerance)} %, ${show(limit)}`;
  if (regressed) {
    const message = `${figures}: the whole interval lies below ${bound}; baseline ${baseline.file}`;
    findings.push(finding("SLOWER_VERIFIED", file, "speedup", message));
  }
  const verdict = regressed ? `the whole interval lies below ${bound}` : `the interval does not lie below ${bound}`;
  return { findings, compared, decided: [`${file}: ${figures}; ${verdict}`], regressed };
}

function showInterval({ speedup }: Verification): string {
  const limits = limitsOf(speedup);
  return limits === null
    ? show(speedup.median)
    : `${show(speedup.median)} (${show(limits.low)} to ${show(limits.high)})`;
}

function rows(file: string, now: Verification, old: Verification, sameDevice: boolean): ComparedFigure[] {
  const plain = (value: number | null): ComparedValue | null => (value === null ? null : { value, interval: null });
  const speedup = ({ speedup: { median, low, high } }: Verification): ComparedValue => ({
    value: median,
    interval: low === null || high === null ? null : [low, high],
  });
  const row = (
    name: string,
    baseline: ComparedValue | null,
    candidate: ComparedValue | null,
    comparable: boolean,
    range: string | null = null,
  ): ComparedFigure[] => {
    if (baseline === null && candidate === null) return [];
    const change = comparable ? changePercent(baseline?.value ?? null, candidate?.value ?? null) : null;
    return [{ file, range, name, baseline, candidate, changePercent: change }];
  };
  return [
    ...row("measured speedup", speedup(old), speedup(now), true),
    ...row(
      "measured tokens per second",
      plain(old.tokens_per_second.plan),
      plain(now.tokens_per_second.plan),
      sameDevice,
    ),
    ...row("measured acceptance", plain(old.acceptance), plain(now.acceptance), true),
    ...row("measured accepted length", plain(old.accepted_length), plain(now.accepted_length), true),
    ...now.by_context.flatMap((record) => {
      const { from, to } = record.context_tokens;
      const other = old.by_context.find(({ context_tokens: range }) => range.from === from && range.to === to);
      if (other === undefined) return [];
      const [before, after] = [other, record].map((r) => plain(r.measured_tokens_per_second));
      return row("measured tokens per second", before, after, sameDevice, `${from}–${to}`);
    }),
  ];
}
