/** A verification: whether the output is the target's own, how much sooner it came, and what had been predicted. */
import { tieMarginText, type Verification } from "../../schema/verification.js";
import { details, figures, numeric, prose, table, text } from "../charts/figure.js";
import { counted, factor, fixed, missedBy, moment, percent, significant, whole } from "../format.js";
import { foreignPath, type Html, html, type Part } from "../html.js";
import { fileName, planOf } from "../lineage.js";
import type { Documents, Shown } from "../types.js";
import { acceptanceFigure, positionFigure } from "./acceptance-figures.js";
import {
  contextText,
  deviceText,
  extrapolatedNote,
  facts,
  intervalText,
  modelText,
  NONE,
  note,
  orNone,
  verdict,
} from "./facts.js";
import { contextFigure, promptFigure, speedupFigure } from "./speed-figures.js";

export function verificationBody(shown: Shown<"draftplan/verification">, documents: Documents): Html {
  const { document } = shown;
  const plan = planOf(shown, documents);
  return html`<p class="verdicts">${verdicts(document)}</p>
${factsOf(document, plan)}
${extrapolatedNote(document.extrapolated)}
${mismatchTable(document)}
${drafted(document) ? speedParts(document, plan) : note("At these contexts the plan drafts nothing: it is plain decoding, and was not timed against itself.")}
${contextTable(document)}
${stopRuleTable(document)}
${tieTable(document)}`;
}

const drafted = ({ acceptance }: Verification): boolean => acceptance !== null;

const factsOf = (document: Verification, plan: Shown<"draftplan/plan"> | undefined): Html =>
  facts(
    ["Speedup", html`${factor(document.speedup.median)}, 95 % interval ${intervalText(document.speedup)}`],
    ["Predicted", predictedText(document)],
    [
      "Tokens per second",
      `${significant(document.tokens_per_second.target)} plain, ${significant(document.tokens_per_second.plan)} with the plan`,
    ],
    typeof document.machine_change_percent === "number"
      ? ["Machine", machineText(document.machine_change_percent)]
      : null,
    ["Acceptance", document.acceptance === null ? "nothing was drafted" : percent(document.acceptance)],
    ["Accepted length", orNone(document.accepted_length, (length) => `${fixed(length, 2)} tokens a round`)],
    [
      "Plan",
      plan === undefined
        ? foreignPath(document.plan.path)
        : html`<a href="#${plan.id}">${foreignPath(document.plan.path)}</a>`,
    ],
    ["Model", modelText(document.model)],
    ["Device", deviceText(document.device)],
    document.sampling === undefined ? null : ["Drawn", samplingText(document.sampling)],
    ["Measured", runText(document)],
  );

/** Fixed lengths beside early stops, where both were run. */
function stopRuleTable({ stop_rules: rules = [] }: Verification): Html {
  if (rules.length === 0) return html``;
  return table({
    caption: "When drafts end: both rules by turns in one run with plain decoding. The first is the plan's own.",
    columns: [
      text("Rule"),
      text("Speedup, 95 % interval"),
      numeric("Predicted"),
      numeric("Tokens/s"),
      numeric("Tokens a round"),
      numeric("Drafted in the mean"),
      text("Output"),
    ],
    rows: rules.map((rule): Part[] => [
      rule.rule,
      `${factor(rule.speedup.median)}, ${intervalText(rule.speedup)}`,
      orNone(rule.predicted_speedup, factor),
      significant(rule.tokens_per_second),
      orNone(rule.accepted_length, (length) => fixed(length, 2)),
      orNone(rule.mean_draft_tokens, (length) => fixed(length, 2)),
      rule.lossless ? "the target's own" : "NOT lossless",
    ]),
  });
}

const samplingText = (sampling: NonNullable<Verification["sampling"]>): string =>
  Object.entries(sampling)
    .map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`)
    .join(", ");

/** What a prediction of tokens per second is off by for a reason that is none of the plan's. */
const machineText = (percent: number): string =>
  `plain decoding is ${fixed(Math.abs(percent), 1)} % ${percent < 0 ? "slower" : "faster"} than when it was profiled`;

function speedParts(document: Verification, plan: Shown<"draftplan/plan"> | undefined): Html {
  return html`${figures(
    speedupFigure(document),
    document.by_context.length > 0 && contextFigure(document),
    promptFigure(document),
    document.acceptance_curve !== null && acceptanceFigure(document, plan?.document),
    positionFigure(document),
  )}
${plan === undefined && note(html`Give ${foreignPath(fileName(document.plan.path))} to the report as well, and the acceptance it predicted is drawn beside what was measured.`)}`;
}

/** Whether the output is the target's own, and what else was asked for and not met. */
export function verdicts(document: Verification): Html[] {
  const { lossless, tokens, ties, prompts, distribution } = document;
  const wrong = prompts.filter(({ first_mismatch }) => first_mismatch !== null).length;
  if (distribution !== undefined) return [drawnVerdict(distribution, wrong), ...notMet(document)];
  const output = lossless
    ? verdict("good", `lossless: ${counted(tokens, "token")} compared, ${counted(ties, "tie")}`)
    : verdict("bad", `not lossless: ${whole(wrong)} of ${counted(prompts.length, "prompt")} differ`);
  return [output, ...notMet(document)];
}

/** Of sampled output its distribution is what was proved. @param wrong outputs with a token that the filters take away */
function drawnVerdict({ draws, prompts, holds }: NonNullable<Verification["distribution"]>, wrong: number): Html {
  const drawn = `${counted(draws * prompts, "text")} drawn`;
  if (holds && wrong === 0) return verdict("good", `lossless: the target’s own distribution, ${drawn}`);
  const why = [
    ...(holds ? [] : [`not the target’s distribution, ${drawn}`]),
    ...(wrong === 0 ? [] : [`${counted(wrong, "output")} with a token that the filters take away`]),
  ];
  return verdict("bad", `not lossless: ${why.join("; ")}`);
}

/** The same in a table. */
export const verdictsInShort = (document: Verification): Html[] => [
  document.lossless ? verdict("good", "lossless") : verdict("bad", "not lossless"),
  ...notMet(document),
];

function notMet({ decided }: Verification): Html[] {
  return (decided?.failed ?? []).flatMap((name) =>
    name === "lossless" ? [] : [verdict("bad", `${name.replaceAll("_", " ")} ${decided?.[name] ?? ""} not met`)],
  );
}

export function predictedText(verification: Verification): string {
  const { predicted_speedup, predicted_speedup_error: known, prediction_error_percent } = verification;
  if (predicted_speedup === null) return "nothing was predicted";
  const error = prediction_error_percent === null ? "" : `, ${missedBy(prediction_error_percent)}`;
  const off = known === undefined ? "" : ` ± ${factor(predicted_speedup * known)}`;
  return `${factor(predicted_speedup)}${off}${error}`;
}

function runText({ pairs, max_tokens, prompts, created, versions }: Verification): string {
  const when = created === undefined ? "" : `${moment(created)}, `;
  const how = `${counted(prompts.length, "prompt")}, up to ${counted(max_tokens, "token")} each, ${counted(pairs, "pair")} of runs`;
  return `${when}${how}${versions === undefined ? "" : `, draftplan ${versions.draftplan}`}`;
}

/** Shown open where there is any: it is what a reader must not miss. */
function mismatchTable({ prompts }: Verification): Html | null {
  const rows = prompts.flatMap(({ prompt, first_mismatch, tokens, worst_margin }): Part[][] =>
    first_mismatch === null ? [] : [[prompt, first_mismatch, tokens, significant(worst_margin)]],
  );
  if (rows.length === 0) return null;
  return table({
    caption: "Prompts whose output is not the target’s own",
    columns: [prose("Prompt"), numeric("First wrong token"), numeric("Tokens"), numeric("Worst margin, logits")],
    rows,
  });
}

function tieTable(verification: Verification): Html | null {
  const rows = verification.prompts.flatMap(({ prompt, tie_margins = [] }) =>
    tie_margins.map(({ position, margin }): Part[] => [prompt, position, significant(margin)]),
  );
  if (rows.length === 0) return null;
  return details(
    `Ties: ${whole(rows.length)}`,
    table({
      caption: `Emitted tokens that are not the maximum, within ${tieMarginText(verification)} of it`,
      columns: [prose("Prompt"), numeric("Token"), numeric("Margin, logits")],
      rows,
    }),
  );
}

function contextTable({ by_context }: Verification): Html | null {
  if (by_context.length === 0) return null;
  return html`<h4>By context range</h4>
${table({
  caption: "Rounds that began in each range of the plan, and tokens per second there",
  columns: [
    text("Context, tokens"),
    numeric("Rounds"),
    numeric("Acceptance"),
    numeric("Tokens a round"),
    numeric("Plain, tokens/s"),
    numeric("Plan, tokens/s"),
    numeric("Predicted, tokens/s"),
    text("The prediction is"),
  ],
  rows: by_context.map((record): Part[] => [
    contextText(record),
    whole(record.rounds),
    orNone(record.acceptance, percent),
    orNone(record.accepted_length, (length) => fixed(length, 2)),
    orNone(record.target_tokens_per_second, significant),
    significant(record.measured_tokens_per_second),
    orNone(record.predicted_tokens_per_second, significant),
    errorOf(record.predicted_tokens_per_second, record.measured_tokens_per_second),
  ]),
})}`;
}

const errorOf = (predicted: number | null, measured: number): Part =>
  predicted === null || measured === 0 ? NONE : missedBy(100 * (predicted / measured - 1));
