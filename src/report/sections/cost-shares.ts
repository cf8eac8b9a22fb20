/** What a draft step, a verification and a plain step are made of, as the profile prices their parts. */

import { DraftplanError } from "../../core/errors.js";
import { counted } from "../../core/text.js";
import {
  blockKind,
  type ChoiceSet,
  expandDraft,
  QUANTISED_KERNELS,
  targetChoices,
  uniformChoices,
} from "../../schema/choice.js";
import type { Profile } from "../../schema/profile.js";
import { sum } from "../../stats/numbers.js";
import { figure, figures, numeric, prose } from "../charts/figure.js";
import { legend } from "../charts/series.js";
import { stackedChart } from "../charts/stacked.js";
import { duration, percent, range, timeUnit, whole } from "../format.js";
import { type Html, html, type Part } from "../html.js";
import { extrapolatedTo, fileName, plansFrom } from "../lineage.js";
import type { Documents, PartCosts, Shown } from "../types.js";
import { note, spread } from "./facts.js";

const PARTS = ["attention", "MLP", "head", "fixed", "loop"] as const;

/** [PARTS] µs */
type Amounts = readonly number[];

interface Priced {
  name: string;
  us: Amounts;
}

/** A pass to be priced. */
interface Pass {
  name: string;
  contextTokens: number;
  /** one token through a draft (or the target itself), or d + 1 tokens through the target */
  of: { step: ChoiceSet } | { verified: number };
  /** µs that the decoding loop adds to a pass of this kind */
  loopUs: number;
}

interface Chart {
  title: string;
  caption: string;
  passes: Pass[];
}

export function costShares(shown: Shown<"draftplan/profile">, documents: Documents): Html {
  const { document: profile } = shown;
  const costs = documents.openCosts(profile, extrapolatedTo(shown, documents));
  const plans = plansFrom(shown, documents).filter(({ document }) => document.model.layers === profile.model.layers);
  const charts = [...gridCharts(profile), ...plans.flatMap((plan) => planCharts(plan, profile))];
  const priced = charts.map(({ title, caption, passes }) => ({
    title,
    caption,
    ...priceAll(passes, costs, profile.model.layers),
  }));
  const refused = priced.flatMap((chart) => chart.refused);
  return html`${figures(priced.map(sharesFigure))}
${plans.length === 0 && note("Give a plan made from this profile to the report as well, and its draft and verification steps are shown here.")}
${refused.length > 0 && note(`Not priced: ${refused.join("; ")}.`)}`;
}

const OF_STEPS = "Parts as the profile prices them.";
const OF_VERIFICATIONS = "With several tokens in the pass the split into parts is uncertain; their sum is not.";

const MAX_CONTEXTS = 4;

/** Plain steps, drafts with everything in one quantised kernel, and the longest verification. */
function gridCharts({ grid, model, loop, kernels }: Profile): Chart[] {
  const longest = Math.max(...grid.query_tokens);
  const contexts = spread(grid.context_tokens, MAX_CONTEXTS);
  const step = (n: number, what: string, set: ChoiceSet, loopUs: number): Pass => ({
    name: `context ${whole(n)}: ${what}`,
    contextTokens: n,
    of: { step: set },
    loopUs,
  });
  const steps = contexts.flatMap((n) => [
    step(n, "plain step", targetChoices(model.layers), loop.step_us),
    ...QUANTISED_KERNELS.filter((kernel) => kernels[kernel] !== undefined).map((kernel) =>
      step(n, `draft step, all ${kernel}`, uniformChoices(model.layers, kernel), 0),
    ),
  ]);
  const verifications = contexts.map((n) => verifying(`context ${whole(n)}`, n, longest, loop.round_us));
  return [
    { title: "Steps of one token", caption: OF_STEPS, passes: steps },
    ...(longest > 1
      ? [{ title: `Verification of ${longest} tokens`, caption: OF_VERIFICATIONS, passes: verifications }]
      : []),
  ];
}

const verifying = (where: string, contextTokens: number, verified: number, loopUs: number): Pass => ({
  name: `${where}: verifying ${counted(verified, "token")}`,
  contextTokens,
  of: { verified },
  loopUs,
});

const MAX_SEGMENTS = 6;

function planCharts({ document, path }: Shown<"draftplan/plan">, { model, loop }: Profile): Chart[] {
  const rounds = document.segments
    .slice(0, MAX_SEGMENTS)
    .flatMap(({ context_tokens, draft, draft_tokens, predicted }) => {
      if (draft === undefined || draft_tokens === undefined) return [];
      const contextTokens = predicted?.at_context ?? context_tokens.to;
      const name = `context ${range(context_tokens)}`;
      const step = expandDraft(draft, model.layers, path);
      return [
        {
          draft: { name: `${name}: draft step`, contextTokens, of: { step }, loopUs: 0 },
          verification: verifying(name, contextTokens, draft_tokens + 1, loop.round_us),
        },
      ];
    });
  if (rounds.length === 0) return [];
  return [
    { title: `Draft steps of ${fileName(path)}`, caption: OF_STEPS, passes: rounds.map(({ draft }) => draft) },
    {
      title: `Verifications of ${fileName(path)}`,
      caption: OF_VERIFICATIONS,
      passes: rounds.map(({ verification }) => verification),
    },
  ];
}

/** What a profile cannot price (a kernel or a context it does not hold) is named, not guessed. */
function priceAll(passes: readonly Pass[], costs: PartCosts, layers: number): { rows: Priced[]; refused: string[] } {
  const rows: Priced[] = [];
  const refused: string[] = [];
  for (const pass of passes) {
    try {
      rows.push({ name: pass.name, us: price(pass, costs, layers) });
    } catch (error) {
      if (!(error instanceof DraftplanError)) throw error;
      refused.push(`${pass.name} (${error.what})`);
    }
  }
  return { rows, refused };
}

function price({ of, contextTokens: n, loopUs }: Pass, costs: PartCosts, layers: number): Amounts {
  if ("step" in of) return [...partsOf(of.step, n, 1, costs), loopUs];
  const parts = partsOf(targetChoices(layers), n, of.verified, costs);
  const scale = costs.verifyUs(n, of.verified - 1) / sum(parts); // the whole is known better than its parts
  return [...parts.map((us) => (Number.isFinite(scale) ? us * scale : us)), loopUs];
}

function partsOf({ blocks, head }: ChoiceSet, n: number, q: number, costs: PartCosts): Amounts {
  const us = { attn: 0, mlp: 0 };
  blocks.forEach((choice, index) => {
    us[blockKind(index)] += costs.blockUs(index, choice, n, q);
  });
  return [us.attn, us.mlp, costs.headUs(head, n, q), costs.fixedUs(n, q)];
}

function sharesFigure({
  title,
  caption,
  rows,
}: {
  title: string;
  caption: string;
  rows: readonly Priced[];
}): Html | null {
  if (rows.length === 0) return null;
  const unit = timeUnit(Math.max(...rows.map(({ us }) => sum(us))));
  return figure({
    title,
    caption,
    legend: legend(PARTS.map((name, look) => ({ name, style: { look }, drawn: "area" }))),
    chart: stackedChart({
      label: unit.name,
      parts: PARTS,
      rows: rows.map(({ name, us }) => ({ name, value: duration(sum(us)), amounts: us.map((one) => one / unit.us) })),
      alternative: rows.map(({ name, us }) => `${name}: ${duration(sum(us))}.`).join(" "),
    }),
    data: {
      columns: [prose("Step"), ...PARTS.map(numeric), numeric("sum")],
      rows: rows.map(({ name, us }): Part[] => [
        name,
        ...us.map((one) => (sum(us) > 0 ? `${duration(one)} (${percent(one / sum(us))})` : duration(one))),
        duration(sum(us)),
      ]),
    },
  });
}
