/** A verification as a person reads it, in 80 columns or in fewer. */
import { counted } from "../core/text.js";
import type { Verification } from "../schema/verification.js";
import { extrapolatedLine, limitsText } from "./format.js";
import { drawTable, labelled, TABLE_COLUMNS } from "./table.js";

/** Lines for a terminal of so many columns. */
export function verificationSummary(verification: Verification, columns = TABLE_COLUMNS): string[] {
  return [
    ...heading(verification),
    "",
    verdictTable(verdictRows(verification), columns),
    ...section(verification.acceptance_curve !== null, "Acceptance by position", () =>
      acceptanceTable(verification, columns),
    ),
    ...section(true, "By context", () => contextTable(verification, columns)),
    ...(verification.by_context.some(({ extrapolated }) => extrapolated === true) ? ["* beyond the profile"] : []),
    ...section(true, "By prompt", () => promptTable(verification, columns)),
  ];
}

const section = (shown: boolean, title: string, body: () => string): string[] => (shown ? ["", title, body()] : []);

function heading({ model, plan, prompts, max_tokens, pairs, draft_cache }: Verification): string[] {
  const runs = `${counted(prompts.length, "prompt")}, up to ${max_tokens} tokens each, ${counted(pairs, "interleaved pair")} of runs`;
  const cache = "drafts had a cache of their own; their reading of the prompt is in the plan's time";
  return [`${model.name} with ${plan.path}`, runs, ...(draft_cache === "own" ? [cache] : [])];
}

function verdictRows(verification: Verification): string[][] {
  const {
    decided,
    speedup,
    tokens_per_second: rate,
    predicted_speedup,
    prediction_error_percent: error,
  } = verification;
  const rows = [["output", outputLine(verification)]];
  rows.push(["speedup", interval(speedup)]);
  rows.push(["tokens/s", `${rate.target.toFixed(1)} plain, ${rate.plan.toFixed(1)} with the plan`]);
  if (predicted_speedup !== null && error !== null) {
    const off = `${Math.abs(error).toFixed(1)} % ${error < 0 ? "less" : "more"} than measured`;
    const share = verification.predicted_speedup_error;
    const known = share === undefined ? "" : ` (standard error ${times(predicted_speedup * share)})`;
    rows.push(["predicted", `${times(predicted_speedup)} times${known}, ${off}`]);
    for (const line of extrapolatedLine(verification)) rows.push(["", line]);
  }
  const change = verification.machine_change_percent;
  if (change !== undefined && change !== null) {
    const off = `${Math.abs(change).toFixed(1)} % ${change < 0 ? "slower" : "faster"}`;
    rows.push(["machine", `plain decoding is ${off} than when it was profiled`]);
  }
  const { acceptance, accepted_length } = verification;
  const drafting = acceptance === null || accepted_length === null;
  rows.push([
    "acceptance",
    drafting ? "nothing was drafted" : `${share(acceptance)}, ${accepted_length.toFixed(2)} tokens a round`,
  ]);
  for (const rule of verification.stop_rules ?? []) rows.push([STOP_RULES[rule.rule], stopRuleLine(rule)]);
  for (const line of distributionLines(verification)) rows.push(line);
  for (const other of verification.alternatives) rows.push([other.name, alternativeLine(other)]);
  for (const requirement of decided?.failed ?? []) rows.push(["FAILED", failureLine(requirement, verification)]);
  return rows;
}

const STOP_RULES = { early: "early stop", fixed: "fixed length" };

/** `1.71 (1.66 to 1.76), 3.61 tokens a round of 4.2 drafted, predicted 1.73` */
function stopRuleLine(rule: NonNullable<Verification["stop_rules"]>[number]): string {
  const { speedup, accepted_length, mean_draft_tokens, predicted_speedup, lossless } = rule;
  const yields =
    accepted_length === null || mean_draft_tokens === null
      ? "nothing was drafted"
      : `${accepted_length.toFixed(2)} tokens a round of ${mean_draft_tokens.toFixed(1)} drafted`;
  const predicted = predicted_speedup === null ? "" : `, predicted ${times(predicted_speedup)}`;
  return `${interval(speedup)}, ${yields}${predicted}${lossless ? "" : ", NOT lossless"}`;
}

type Decision = NonNullable<Verification["decided"]>;

function failureLine(requirement: Decision["failed"][number], verification: Verification): string {
  const { decided, speedup, acceptance, prediction_error_percent: error } = verification;
  switch (requirement) {
    case "lossless":
      return verification.distribution === undefined
        ? "lossless: the output is not the target's own"
        : "lossless: what was drawn has not the target's distribution";
    case "min_speedup":
      return speedup.low === null
        ? "--min-speedup: there is no interval, as fewer than 4 prompts were timed"
        : `--min-speedup: the lower end, ${times(speedup.low)}, is below the ${decided?.min_speedup} asked for`;
    case "min_acceptance":
      return `--min-acceptance: ${acceptance === null ? "nothing was drafted" : `${acceptance.toFixed(3)} is below the ${decided?.min_acceptance} asked for`}`;
    case "max_prediction_error_percent":
      return `--max-prediction-error: ${error === null ? "nothing was predicted" : `${Math.abs(error).toFixed(1)} % is above the ${decided?.max_prediction_error_percent} % asked for`}`;
  }
}

function outputLine({ lossless, ties, tokens, prompts, distribution }: Verification): string {
  if (distribution !== undefined) {
    const wrong = prompts.filter((prompt) => prompt.first_mismatch !== null).length;
    const token = wrong === 0 ? "" : `; ${counted(wrong, "output")} with a token that the filters take away`;
    const drawn = `${distribution.draws * distribution.prompts} texts drawn`;
    return distribution.holds
      ? `the target's own distribution, ${drawn}${token}`
      : `NOT the target's distribution, ${drawn}${token}`;
  }
  const tied =
    ties === 0
      ? ""
      : `, ${counted(ties, "tie")} within ${Math.max(...prompts.map((p) => p.worst_margin)).toExponential(1)}`;
  if (lossless) return `the target's own, all ${tokens} tokens${tied}`;
  const wrong = prompts.filter((prompt) => prompt.first_mismatch !== null);
  return `NOT the target's own: ${wrong.length} of ${counted(prompts.length, "prompt")} went wrong${tied}`;
}

/** What the distribution was told by. */
function distributionLines({ distribution }: Verification): string[][] {
  const names = ["", "first tokens", "pairs", "triples"];
  return (distribution?.tests ?? []).map(({ first_tokens: tokens, chi_square, freedom, chance }) => [
    names[tokens] ?? `${tokens} tokens`,
    `chi-square ${chi_square.toFixed(1)} of ${freedom} expected; by chance ${chance < 0.001 ? chance.toExponential(1) : share(chance)}`,
  ]);
}

const alternativeLine = ({ speedup, agreement, agreeing_prefix }: Verification["alternatives"][number]): string =>
  `${times(speedup.median)} times; not lossless: ${share(agreement)} of tokens agree,\nits own output first differs after ${agreeing_prefix.toFixed(0)} tokens on average`;

/** Positions a row of the table holds, and columns that each takes behind the names: 80 have room for so many. */
const POSITIONS = 8;
const POSITION_COLUMNS = 7;
const NAME_COLUMNS = 22;

function acceptanceTable({ acceptance_curve, by_position }: Verification, columns: number): string {
  const room = Math.max(1, Math.min(POSITIONS, Math.floor((columns - NAME_COLUMNS) / POSITION_COLUMNS)));
  const curve = acceptance_curve ?? [];
  const reached = by_position ?? [];
  const rows: string[][] = [];
  for (let from = 1; from < curve.length; from += room) {
    const part = curve.slice(from, from + room);
    rows.push(["drafted token", ...part.map((_, i) => String(from + i))]);
    const here = reached.slice(from - 1, from - 1 + room);
    if (here.length > 0) rows.push(["accepted, of reached", ...here.map(fraction)]);
    rows.push(["all accepted to here", ...part.map((a) => a.toFixed(2))]);
  }
  return table(rows, "right");
}

const fraction = ({ tried, accepted }: { tried: number; accepted: number }): string => `${accepted}/${tried}`;

function contextTable({ by_context }: Verification, columns: number): string {
  const head = [
    "context",
    "rounds",
    "tokens\na round",
    "accepted",
    "plain\ntok/s",
    "plan\ntok/s",
    "pred.\ntok/s",
    "speedup",
    "pred.\nspeedup",
  ];
  const rows = by_context.map((record) => [
    `${record.context_tokens.from} to ${record.context_tokens.to}${record.extrapolated === true ? " *" : ""}`,
    String(record.rounds),
    record.accepted_length?.toFixed(2) ?? "-",
    record.acceptance === null ? "-" : share(record.acceptance),
    record.target_tokens_per_second?.toFixed(1) ?? "-",
    record.measured_tokens_per_second.toFixed(1),
    record.predicted_tokens_per_second?.toFixed(1) ?? "-",
    typeof record.speedup === "number" ? times(record.speedup) : "-",
    typeof record.predicted_speedup === "number" ? times(record.predicted_speedup) : "-",
  ]);
  return drawTable({ ...BARE, head, rows, align: aligned(head, "right") }, columns);
}

function promptTable({ prompts }: Verification, columns: number): string {
  const head = ["prompt", "context", "tokens", "speedup", "accepted", "output"];
  const rows = prompts.map((record) => [
    shorten(record.prompt, 26),
    String(record.prompt_tokens),
    String(record.tokens),
    record.speedup === null ? "-" : times(record.speedup),
    record.acceptance === null ? "-" : share(record.acceptance),
    promptVerdict(record),
  ]);
  return drawTable({ ...BARE, head, rows, align: aligned(head, "right") }, columns);
}

function promptVerdict({ ties, first_mismatch }: Verification["prompts"][number]): string {
  if (first_mismatch !== null) return `WRONG at ${first_mismatch}`;
  return ties === 0 ? "same" : counted(ties, "tie");
}

const interval = ({ median, low, high }: Verification["speedup"]): string =>
  low === high && low !== null
    ? `${times(median)} times`
    : `${times(median)} times (${low === null ? "" : "95 % interval "}${limitsText({ low, high })})`;
const times = (ratio: number): string => ratio.toFixed(2);
const share = (rate: number): string => `${(100 * rate).toFixed(1)} %`;
const shorten = (text: string, length: number): string => {
  const characters = [...text];
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join("")}…`;
};

const BARE = { look: "bare", padding: [1, 0] } as const;
/** the first column is for words */
const aligned = (row: readonly unknown[], others: "left" | "right") =>
  row.map((_, column) => (column === 0 ? "left" : others));

/** Rows without a head, under each other. */
function table(rows: string[][], align: "left" | "right"): string {
  // a short last row must not leave a hole
  const filled = rows.map((row) => [...row, ...new Array<string>(rows[0].length - row.length).fill("")]);
  return drawTable({ ...BARE, head: [], rows: filled, align: aligned(rows[0], align) }, TABLE_COLUMNS);
}

function verdictTable(rows: string[][], columns: number): string {
  if (columns >= TABLE_COLUMNS) return table(rows, "left");
  return labelled(
    rows.map(([label, text]) => [label, text] as const),
    columns,
  );
}
