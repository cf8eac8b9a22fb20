/** What matters first: how much faster, with what certainty, as predicted or not, and whether the output is the target's. */
import { limitsOf } from "../../schema/common.js";
import type { Verification } from "../../schema/verification.js";
import { figure, figures, numeric, prose, table, text } from "../charts/figure.js";
import { type Row, type RowMark, rowsChart } from "../charts/rows.js";
import { legend } from "../charts/series.js";
import { counted, factor, fixed, listed, moment, percent, range, whole } from "../format.js";
import { foreign, foreignPath, type Html, html, type Part } from "../html.js";
import { fileName } from "../lineage.js";
import type { Documents, Section, Shown } from "../types.js";
import { intervalText, MEASURED, modelText, orNone, PREDICTED, verdict } from "./facts.js";
import { predictedText, verdicts, verdictsInShort } from "./verification.js";

type ShownVerification = Shown<"draftplan/verification">;
type ShownPlan = Shown<"draftplan/plan">;

/** Above that a table is read more easily. */
const MAX_CARDS = 4;

export function overviewSection(documents: Documents): Section {
  const { verifications, plans } = documents;
  const body = html`<p>${contentsInWords(documents)}</p>
${verifications.length > 0 ? verificationOverview(verifications) : plans.length > 0 && planCards(plans)}`;
  return { id: "overview", title: "At a glance", body, entries: [] };
}

function contentsInWords({ verifications, comparisons, plans, calibrations, profiles, all }: Documents): string {
  const kinds = [
    [verifications.length, "verification"],
    [comparisons.length, "comparison"],
    [plans.length, "plan"],
    [calibrations.length, "calibration"],
    [profiles.length, "profile"],
  ] as const;
  const names = [...new Set(all.map(({ document }) => document.model.name))];
  const models = names.length === 1 ? `model ${names[0]}` : counted(names.length, "model");
  return `${listed(kinds.filter(([count]) => count > 0).map(([count, kind]) => counted(count, kind)))} of ${models}.`;
}

function verificationOverview(verifications: readonly ShownVerification[]): Html {
  const cards =
    verifications.length <= MAX_CARDS && html`<div class="cards">${verifications.map(verificationCard)}</div>`;
  return html`${cards}
${verifications.length > 1 && figures(speedupsFigure(verifications))}
${verifications.length > MAX_CARDS && verificationTable(verifications)}`;
}

const verificationCard = ({ document, id, path }: ShownVerification): Html =>
  html`<article class="card"><h3><a href="#${id}">${foreignPath(fileName(path))}</a></h3>
<p class="headline"><strong>${factor(document.speedup.median)}</strong> plain decoding</p>
<p>${cardText(document)}</p>
<p class="verdicts">${verdicts(document)}</p></article>
`;

function cardText(document: Verification): Html {
  const { speedup, acceptance, accepted_length: length, predicted_speedup: predicted } = document;
  if (acceptance === null) return html`Nothing was drafted: at these contexts the plan is plain decoding.`;
  return html`95 % interval ${intervalText(speedup)}; ${predicted !== null && "predicted "}${predictedText(document)}. ${percent(acceptance)} of drafted tokens accepted, ${orNone(length, (tokens) => fixed(tokens, 2))} tokens a round.`;
}

function planCards(plans: readonly ShownPlan[]): Html | null {
  if (plans.length > MAX_CARDS) return planTable(plans);
  return html`<div class="cards">${plans.map(
    ({ document, id, path }) => html`<article class="card"><h3><a href="#${id}">${foreignPath(fileName(path))}</a></h3>
<p class="headline">${speedupRange(document.segments.flatMap(({ predicted }) => (predicted === undefined ? [] : [predicted.speedup])))}</p>
<p>${document.segments.map(({ context_tokens, speculate, draft_tokens }) => html`Context ${range(context_tokens)}: ${speculate ? `draft ${counted(draft_tokens ?? 0, "token")}` : "plain decoding"}. `)}</p>
<p class="verdicts">${verdict("open", "predicted, not verified here")}</p></article>
`,
  )}</div>`;
}

function speedupRange(speedups: readonly number[]): Html {
  if (speedups.length === 0) return html`nothing predicted`;
  const [low, high] = [factor(Math.min(...speedups)), factor(Math.max(...speedups))];
  return html`<strong>${low === high ? low : `${low} to ${high}`}</strong> plain decoding, predicted`;
}

const planTable = (plans: readonly ShownPlan[]): Html =>
  table({
    caption: "Plans",
    columns: [prose("Plan"), text("Model"), numeric("Ranges"), prose("Predicted speedup")],
    rows: plans.map(({ document, id, path }): Part[] => [
      html`<a href="#${id}">${foreignPath(path)}</a>`,
      modelText(document.model),
      document.segments.length,
      speedupRange(document.segments.flatMap(({ predicted }) => (predicted === undefined ? [] : [predicted.speedup]))),
    ]),
  });

/** A chart of more rows is no longer looked through; the table has them all. */
const MAX_ROWS = 60;

function speedupsFigure(verifications: readonly ShownVerification[]): Html {
  const drawn = verifications.slice(0, MAX_ROWS);
  const left = verifications.length - drawn.length;
  return figure({
    title: "Speedup of every verification",
    caption: html`Whiskers: 95 % interval over prompts. ${left > 0 && `${whole(left)} more are in the table.`}`,
    legend: legend([
      { name: "measured", style: MEASURED, drawn: "marks" },
      { name: "predicted", style: PREDICTED, drawn: "marks" },
    ]),
    chart: rowsChart({
      x: { label: "times plain decoding", scale: "linear" },
      rows: drawn.map(speedupRow),
      reference: 1,
      alternative: drawn
        .map(({ document, path }) => `${fileName(path)}: ${factor(document.speedup.median)}.`)
        .join(" "),
    }),
    data: {
      columns: [prose("Verification"), numeric("Speedup"), numeric("95 % interval"), numeric("Predicted")],
      rows: verifications.map(({ document, path }): Part[] => [
        foreignPath(path),
        factor(document.speedup.median),
        intervalText(document.speedup),
        orNone(document.predicted_speedup, factor),
      ]),
    },
  });
}

function speedupRow({ document: { speedup, predicted_speedup: predicted }, path }: ShownVerification): Row {
  const { median, low, high } = speedup;
  const marks: RowMark[] = [
    { at: median, ...limitsOf({ low, high }), style: MEASURED, title: `${path}: ${factor(median)}` },
  ];
  if (predicted !== null)
    marks.push({ at: predicted, style: PREDICTED, title: `${path}: predicted ${factor(predicted)}` });
  return { name: fileName(path), value: factor(median), marks };
}

const verificationTable = (verifications: readonly ShownVerification[]): Html =>
  table({
    caption: "Verifications",
    columns: [
      prose("Verification"),
      prose("Model"),
      prose("Measured"),
      numeric("Speedup"),
      numeric("95 % interval"),
      numeric("Predicted"),
      numeric("Acceptance"),
      numeric("Tokens a round"),
      text("Verdict"),
    ],
    rows: verifications.map(({ document, id, path }): Part[] => [
      html`<a href="#${id}">${foreignPath(path)}</a>`,
      foreign(document.model.name),
      document.created === undefined ? "not recorded" : moment(document.created),
      factor(document.speedup.median),
      intervalText(document.speedup),
      predictedText(document),
      orNone(document.acceptance, percent),
      orNone(document.accepted_length, (length) => fixed(length, 2)),
      html`${verdictsInShort(document)}`,
    ]),
  });
