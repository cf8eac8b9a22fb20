/**
 * The picture of the frontier at one context: time of a draft step against acceptance rate. What lies further up and to the
 * left is faster; along a line of equal speedup nothing is gained or lost.
 */
import type { ComparedContext, ComparedRow } from "../../schema/comparison.js";
import { figure, numeric, prose } from "../charts/figure.js";
import { type Level, planeChart } from "../charts/plane.js";
import { legend, type SeriesStyle } from "../charts/series.js";
import { factor, percent, significant, timeUnit, whole } from "../format.js";
import { type Html, html, type Part } from "../html.js";
import { MEASURED, spread } from "./facts.js";

type Costs = Pick<ComparedContext, "target_step_us" | "round_us" | "verify_us">;

const FRONTIER: SeriesStyle = { look: 1, dashed: true };
const OTHERS: SeriesStyle = { look: 5 };

/** Further drafts would only cover each other. */
const MAX_DRAFTS = 150;
/** Speedups that lines are drawn for, as far as they cross the picture. */
const SPEEDUPS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5];
const STEPS = 60;

/**
 * The longest draft step, µs, with which drafts of this acceptance rate still reach a speedup, at their best length:
 * TPT = Σ α^i / (d · draft + verify(d) + round), solved for the draft's time. Null where none does.
 */
export function draftUsAt(
  speedup: number,
  acceptance: number,
  { target_step_us, round_us, verify_us }: Costs,
): number | null {
  let tokens = 1;
  let best = Number.NEGATIVE_INFINITY;
  for (const [i, verifyUs] of verify_us.entries()) {
    tokens += acceptance ** (i + 1);
    best = Math.max(best, ((tokens * target_step_us) / speedup - verifyUs - round_us) / (i + 1));
  }
  return best > 0 ? best : null;
}

/** What the picture shows: above the least acceptance that matters, up to the longest draft step. */
interface View {
  acceptance: number;
  draftUs: number;
}

/** A little below the methods: a frontier goes down to drafts that nobody would run. */
function viewOf(at: ComparedContext, methods: readonly MethodPoint[]): View {
  const least = methods.length === 0 ? 0 : Math.min(...methods.map(({ acceptance }) => acceptance));
  const draftUs = Math.max(at.target_step_us, ...methods.map((point) => point.draft_us));
  return { acceptance: Math.max(0, Math.floor(10 * (least - 0.1)) / 10), draftUs };
}

interface MethodPoint {
  names: string[];
  draft_us: number;
  acceptance: number;
  title: string;
}

/** Methods that draft; those with the same draft are one point. */
function methodPoints(rows: readonly ComparedRow[]): MethodPoint[] {
  const points = new Map<string, MethodPoint>();
  for (const { method, drafter, same_draft_as, predicted, measured } of rows) {
    if (drafter !== undefined && drafter.kind !== "self") continue; // the picture is of a draft step, which others do not take
    const known = same_draft_as === undefined ? undefined : points.get(same_draft_as);
    if (known !== undefined) {
      known.names.push(method);
      continue;
    }
    const { acceptance, speedup } = measured;
    if (predicted === null || predicted.draft_us === null || acceptance === null) continue;
    const title = `${percent(acceptance)} accepted, speedup ${factor(speedup.median)}`;
    points.set(method, { names: [method], draft_us: predicted.draft_us, acceptance, title });
  }
  return [...points.values()];
}

/** From the bottom of the picture to its top, as far as a line lies within it. */
const levelsOf = (costs: Costs, { acceptance: least, draftUs: most }: View, us: number): Level[] =>
  SPEEDUPS.map((speedup) => ({
    name: `${speedup}×`,
    points: Array.from({ length: STEPS + 1 }, (_, i) => least + ((1 - least) * i) / STEPS).flatMap((acceptance) => {
      const draftUs = draftUsAt(speedup, acceptance, costs);
      return draftUs === null || draftUs > most ? [] : [{ x: draftUs / us, y: acceptance }];
    }),
  }));

/** The figure; null where the document holds nothing to draw. */
export function frontierFigure(at: ComparedContext): Html | null {
  const methods = methodPoints(at.rows);
  const view = viewOf(at, methods);
  const seen = at.frontier.filter((point) => point.acceptance >= view.acceptance && point.draft_us <= view.draftUs);
  const expected = seen.filter(({ evidence }) => evidence === "surrogate");
  const drafts = spread(
    seen.filter(({ evidence }) => evidence === "choose"),
    MAX_DRAFTS,
  );
  if (methods.length + expected.length + drafts.length === 0) return null;
  const unit = timeUnit(view.draftUs);
  const placed = ({ draft_us, acceptance }: { draft_us: number; acceptance: number }) => ({
    x: draft_us / unit.us,
    y: acceptance,
  });
  return figure({
    title: `Draft time against acceptance, context ${whole(at.context_tokens)}`,
    caption: html`Further up and further left is faster. Thin lines join points of equal predicted speedup, each at its best draft length. The target’s own step takes ${significant(at.target_step_us / unit.us)} ${unit.name}.`,
    legend: frontierLegend(methods.length > 0, expected.length > 0, drafts.length > 0),
    chart: planeChart({
      x: { label: `one draft step, ${unit.name}`, scale: "linear", include: [0, view.draftUs / unit.us] },
      y: { label: "acceptance rate", scale: "linear", include: [view.acceptance, 1] },
      curve: { style: FRONTIER, points: expected.map(placed) },
      cloud: { style: OTHERS, points: drafts.map(placed) },
      points: methods.map((point) => ({ ...placed(point), names: point.names, title: point.title, style: MEASURED })),
      levels: levelsOf(at, view, unit.us),
      alternative:
        methods.map(({ names, title }) => `${names.join(", ")}: ${title}.`).join(" ") || "No method drafts here.",
    }),
    data: {
      columns: [prose("Point"), numeric(`Draft step, ${unit.name}`), numeric("Acceptance")],
      rows: [
        ...methods.map((point) => dataRow(point.names.join(", "), point, unit.us)),
        ...expected.map((point) => dataRow("the frontier, expected", point, unit.us)),
        ...drafts.map((point) => dataRow("another draft, measured", point, unit.us)),
      ],
    },
  });
}

const dataRow = (
  name: string,
  { draft_us, acceptance }: { draft_us: number; acceptance: number },
  us: number,
): Part[] => [name, significant(draft_us / us), percent(acceptance)];

const frontierLegend = (methods: boolean, expected: boolean, drafts: boolean): Html =>
  legend([
    ...(methods ? [{ name: "a method’s plan: acceptance measured", style: MEASURED, drawn: "marks" } as const] : []),
    ...(expected ? [{ name: "the knapsack’s frontier: expected", style: FRONTIER, drawn: "curve" } as const] : []),
    ...(drafts ? [{ name: "other drafts, measured to choose from", style: OTHERS, drawn: "marks" } as const] : []),
  ]);
