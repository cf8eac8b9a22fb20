/** A profile: what every part of a pass costs on one device, over context and query length. */

import type { Profile, ProfilePoint } from "../../schema/profile.js";
import { timesFloorText } from "../../schema/profile-text.js";
import { sum } from "../../stats/numbers.js";
import { figures, numeric, table, text } from "../charts/figure.js";
import { heatTable } from "../charts/heat-table.js";
import { counted, duration, fixed, missedBy, significant, timeUnit, whole } from "../format.js";
import { type Html, html, type Part } from "../html.js";
import { extrapolatedTo } from "../lineage.js";
import type { Documents, Shown } from "../types.js";
import { costShares } from "./cost-shares.js";
import { deviceText, facts, modelText, note, spread } from "./facts.js";
import { type Beyond, curveFigures } from "./profile-curves.js";
import { layerFigures } from "./profile-layers.js";

export function profileBody(shown: Shown<"draftplan/profile">, documents: Documents): Html {
  const { document } = shown;
  return html`${factsOf(document)}
<h4>Curves over context</h4>
${figures(curveFigures(document, beyondOf(shown, documents)))}
<h4>By layer</h4>
${layerFigures(document)}
<h4>Over context and query length</h4>
${note("Rows: tokens in the cache. Columns: tokens in the pass. A stronger colour is slower.")}
${figures(heatTables(document))}
<h4>What a step is made of</h4>
${costShares(shown, documents)}
<h4>Straight line of attention</h4>
${lineTable(document)}`;
}

/** What plans on the page draw the profile on to. */
function beyondOf(shown: Shown<"draftplan/profile">, documents: Documents): Beyond | null {
  const n = extrapolatedTo(shown, documents);
  return n === undefined ? null : { n, costs: documents.openCosts(shown.document, n) };
}

function factsOf(profile: Profile): Html {
  const { model, device, grid, loop, errors } = profile;
  return facts(
    ["Model", modelText(model)],
    ["Device", deviceText(device)],
    ...originFacts(profile),
    ["Contexts", grid.context_tokens.join(", ")],
    ["Query lengths", grid.query_tokens.join(", ")],
    ["The decoding loop adds", `${duration(loop.round_us)} a round, ${duration(loop.step_us)} a plain step`],
    ...floorFacts(profile),
    ["Sum of parts against whole passes", residualText(profile)],
    ["Drafts kept out of the fit", errorText(errors?.held_out)],
    ["Drafts at a context left out", errorText(errors?.left_out_context)],
  );
}

/** How the figures came about: measured here, on made-up weights, on a part of the model, or elsewhere. */
function originFacts({ sampling, synthetic, scaled, imported }: Profile): [string, Part][] {
  const entries: [string, Part][] = [];
  if (sampling !== undefined) {
    const { rounds, spread_percent, contention_percent } = sampling;
    const noise = `spread ${fixed(spread_percent, 1)} %, contention ${fixed(contention_percent, 1)} %`;
    entries.push(["Sampling", `${counted(rounds, "round")}, ${noise}`]);
  }
  if (synthetic !== undefined) entries.push(["Weights", "made up from a configuration"]);
  if (scaled !== undefined) {
    const layers = `${scaled.layers_measured} of ${counted(scaled.layers, "layer")}`;
    const rows = `${whole(scaled.vocabulary_measured)} of ${whole(scaled.vocabulary)} rows of the head`;
    entries.push(["Scaled from a slice", `${layers}, ${rows}`]);
  }
  if (imported !== undefined) entries.push(["Imported from", imported.source]);
  return entries;
}

/** How many times as long as one read of memory the target's parts take. */
function floorFacts({ floor }: Profile): [string, Part][] {
  if (floor === undefined) return [];
  const at = `memory is read at ${fixed(floor.read_bytes_per_second / 1e9, 1)} GB/s; below 1: from a cache`;
  return [["Times the floor of memory, target", `${timesFloorText(floor, "target")} (${at})`]];
}

function residualText({ points }: Profile): string {
  const residuals = points.map(({ residual_percent }) => residual_percent).sort((a, b) => a - b);
  const [median, worst] = [residuals[Math.floor(residuals.length / 2)], residuals[residuals.length - 1]];
  return `off by ${fixed(median, 1)} % in the median point, ${fixed(worst, 1)} % in the worst`;
}

type ErrorSummary = NonNullable<NonNullable<Profile["errors"]>["held_out"]>;

function errorText(errors: ErrorSummary | null | undefined): string {
  if (errors === null || errors === undefined) return "not measured";
  const { drafts, median_percent, p90_percent, signed_percent } = errors;
  return `predicted within ${fixed(median_percent, 1)} % in the median, ${fixed(p90_percent, 1)} % in nine of ten; ${missedBy(signed_percent)} on the whole; ${counted(drafts, "draft")}`;
}

const MAX_AXIS = 24;

/** Single parts at q > 1 are less certain than their sum, so the whole comes first. */
const HEATS: readonly [string, (point: ProfilePoint) => number][] = [
  ["Whole pass of the target", (point) => point.whole_target_us],
  ["Attention of all layers", (point) => sum(point.attn_us.target ?? [])],
  ["MLP of all layers", (point) => sum(point.mlp_us.target ?? [])],
];

function heatTables({ grid, points }: Profile): Html[] {
  const byPlace = new Map(points.map((point) => [`${point.context_tokens} ${point.query_tokens}`, point]));
  const rows = spread(grid.context_tokens, MAX_AXIS);
  const columns = spread(grid.query_tokens, MAX_AXIS);
  return HEATS.map(([name, of]) => {
    const us = rows.map((n) =>
      columns.map((q) => {
        const point = byPlace.get(`${n} ${q}`);
        return point === undefined ? 0 : of(point);
      }),
    );
    const unit = timeUnit(Math.max(...us.flat()));
    const values = us.map((row) => row.map((one) => one / unit.us));
    return heatTable({ caption: `${name}, ${unit.name}`, rowLabel: "n", columnLabel: "q =", rows, columns, values });
  });
}

/** KnapSpec's own model of attention, beside what was measured; nothing is planned by it. */
const lineTable = ({ attention_line: lines }: Profile): Html =>
  lines.length === 0
    ? note("The profile holds none.")
    : table({
        caption: "Attention of one layer at q = 1 as intercept + slope · n, as KnapSpec has it; for comparison only",
        columns: [text("Kernel"), numeric("Intercept c1, µs"), numeric("Slope c2, ns a token"), numeric("R²")],
        rows: lines.map(({ kernel, intercept_us, slope_us_per_token, r_squared }): Part[] => [
          kernel,
          significant(intercept_us),
          significant(1000 * slope_us_per_token),
          fixed(r_squared, 3),
        ]),
      });
