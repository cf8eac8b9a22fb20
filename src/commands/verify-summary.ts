/** A verification as a person reads it, in 80 columns. */
import Table from "cli-table3";
import type { Verification } from "../schema/verification.js";

/** Lines for a terminal. */
export function summaryOf(verification: Verification, minSpeedup?: number): string[] {
  return [
    heading(verification),
    "",
    table(verdictRows(verification, minSpeedup)),
    ...section(verification.acceptance_curve !== null, "Acceptance by position", () => acceptanceTable(verification)),
    ...section(true, "By context", () => contextTable(verification)),
    ...section(true, "By prompt", () => promptTable(verification)),
  ];
}

const section = (shown: boolean, title: string, body: () => string): string[] => (shown ? ["", title, body()] : []);

function heading({ model, plan, prompts, max_tokens, pairs }: Verification): string {
  const runs = `${count(prompts.length, "prompt")} of up to ${max_tokens} tokens, ${count(pairs, "interleaved pair")} each`;
  return `${model.name} with ${plan.path}: ${runs}`;
}

function verdictRows(verification: Verification, minSpeedup: number | undefined): string[][] {
  const { speedup, tokens_per_second: rate, predicted_speedup, prediction_error_percent: error } = verification;
  const rows = [["output", outputLine(verification)]];
  const tooSlow = minSpeedup !== undefined && speedup.median < minSpeedup ? `; below the ${minSpeedup} asked for` : "";
  rows.push(["speedup", `${interval(speedup)}${tooSlow}`]);
  rows.push(["tokens a second", `${rate.target.toFixed(1)} plain, ${rate.plan.toFixed(1)} with the plan`]);
  if (predicted_speedup !== null && error !== null) {
    rows.push(["predicted", `${times(predicted_speedup)} times, ${signed(error)} % off what was measured`]);
  }
  const { acceptance, accepted_length } = verification;
  const drafting = acceptance === null || accepted_length === null;
  rows.push(["acceptance", drafting ? "nothing was drafted" : `${share(acceptance)}, ${accepted_length.toFixed(2)} tokens a round`]);
  for (const other of verification.alternatives) rows.push([other.name, alternativeLine(other)]);
  return rows;
}

function outputLine({ lossless, ties, tokens, prompts }: Verification): string {
  const tied = ties === 0 ? "" : `, ${count(ties, "tie")} within ${Math.max(...prompts.map((p) => p.worst_margin)).toExponential(1)}`;
  if (lossless) return `the target's own, all ${tokens} tokens${tied}`;
  const wrong = prompts.filter((prompt) => prompt.first_mismatch !== null);
  return `NOT the target's own: ${wrong.length} of ${count(prompts.length, "prompt")} went wrong${tied}`;
}

const alternativeLine = ({ speedup, agreement, agreeing_prefix }: Verification["alternatives"][number]): string =>
  `${times(speedup.median)} times; not lossless: ${share(agreement)} of tokens agree,\nits own output first differs after ${agreeing_prefix.toFixed(0)} tokens on average`;

function acceptanceTable({ acceptance_curve }: Verification): string {
  const curve = (acceptance_curve ?? []).slice(1);
  return table([
    ["drafted token", ...curve.map((_, i) => String(i + 1))],
    ["all accepted to here", ...curve.map((a) => a.toFixed(2))],
  ]);
}

function contextTable({ by_context }: Verification): string {
  const head = ["context", "rounds", "tokens/round", "acceptance", "plain tok/s", "plan tok/s", "predicted"];
  const rows = by_context.map((record) => [
    `${record.context_tokens.from} to ${record.context_tokens.to}`,
    String(record.rounds),
    record.accepted_length?.toFixed(2) ?? "-",
    record.acceptance === null ? "-" : share(record.acceptance),
    record.target_tokens_per_second?.toFixed(1) ?? "-",
    record.measured_tokens_per_second.toFixed(1),
    record.predicted_tokens_per_second?.toFixed(1) ?? "-",
  ]);
  return table([head, ...rows]);
}

function promptTable({ prompts }: Verification): string {
  const head = ["prompt", "context", "tokens", "speedup", "acceptance", "output"];
  const rows = prompts.map((record) => [
    shorten(record.prompt, 30),
    String(record.prompt_tokens),
    String(record.tokens),
    record.speedup === null ? "-" : times(record.speedup),
    record.acceptance === null ? "-" : share(record.acceptance),
    promptVerdict(record),
  ]);
  return table([head, ...rows]);
}

function promptVerdict({ ties, first_mismatch }: Verification["prompts"][number]): string {
  if (first_mismatch !== null) return `WRONG at ${first_mismatch}`;
  return ties === 0 ? "same" : count(ties, "tie");
}

const interval = ({ median, low, high }: Verification["speedup"]): string =>
  low === high ? `${times(median)} times` : `${times(median)} times (95 % interval ${times(low)} to ${times(high)})`;
const times = (ratio: number): string => ratio.toFixed(2);
const share = (rate: number): string => `${(100 * rate).toFixed(1)} %`;
const signed = (percent: number): string => `${percent < 0 ? "−" : "+"}${Math.abs(percent).toFixed(1)}`;
const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? "" : "s"}`;
const shorten = (text: string, length: number): string => {
  const characters = [...text];
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join("")}…`;
};

/** Rows under each other, without lines. */
function table(rows: string[][]): string {
  const blank = ["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"];
  const lines = ["left", "left-mid", "mid", "mid-mid", "right", "right-mid"];
  const chars = { ...Object.fromEntries([...blank, ...lines].map((name) => [name, ""])), middle: "  " };
  const drawn = new Table({ chars, style: { "padding-left": 1, "padding-right": 0, head: [], border: [] } });
  drawn.push(...rows);
  return drawn.toString();
}
