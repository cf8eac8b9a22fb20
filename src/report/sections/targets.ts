/** Ways to serve one model: targets times drafters at every context, and what each target loses against the reference. */
import { limitsOf } from "../../schema/common.js";
import { type ComparedWay, fastest, type TargetComparison } from "../../schema/targets/document.js";
import { figure, figures, numeric, prose, type TableSpec, table } from "../charts/figure.js";
import { rowsChart } from "../charts/rows.js";
import { counted, factor, fixed, moment, percent, significant, whole } from "../format.js";
import { foreign, type Html, html, type Part } from "../html.js";
import type { Shown } from "../types.js";
import { deviceText, facts, intervalText, MEASURED, modelText, note, orNone, speedRow, verdict } from "./facts.js";

type Context = TargetComparison["contexts"][number];

export function targetsBody({ document }: Shown<"draftplan/targets">): Html {
  return html`<p class="verdicts">${losslessVerdict(document)}</p>
${factsOf(document)}
${document.contexts.map((at) => contextPart(at, document))}
<h4>What each target loses</h4>
${figures(lossFigure(document))}
${table({ caption: "Quality on text held back", ...qualityRows(document) })}
${note(html`${counted(document.quality_tokens, "position")} in ${counted(document.quality_windows, "window")}. Intervals: 95 %, over windows.`)}`;
}

function losslessVerdict({ contexts, lossless }: TargetComparison): Html {
  if (lossless) return verdict("good", "lossless: every run emitted its target’s own tokens");
  const wrong = contexts.flatMap(({ ways }) => ways.filter((way) => !way.lossless).map(nameOf));
  return verdict("bad", `not lossless: ${[...new Set(wrong)].join(", ")}`);
}

const nameOf = ({ target, drafter }: ComparedWay): string =>
  drafter === "none" ? `${target}, plain` : `${target}, ${drafter}`;

const factsOf = ({ model, device, text, prompts, created, versions, ...rest }: TargetComparison): Html =>
  facts(
    ["Model", modelText(model)],
    ["Device", deviceText(device)],
    ["Targets", rest.targets.map(({ target }) => target).join(", ")],
    ["Planned on", text.source],
    ["Run on", prompts.source],
    [
      "Measured",
      `${moment(created)}, up to ${counted(rest.max_tokens, "token")} each, ${counted(rest.pairs, "run")} of each way on each prompt, draftplan ${versions.draftplan}`,
    ],
    rest.time_limit_seconds === null ? null : ["Time limit", `${whole(rest.time_limit_seconds)} s for the runs`],
  );

function contextPart({ context_tokens, prompts, ways }: Context, { targets }: TargetComparison): Html {
  const best = fastest(ways);
  return html`<h4>Context ${whole(context_tokens)}</h4>
${figures(speedFigure(context_tokens, ways, targets[0].target))}
${table({ caption: `Every way at context ${whole(context_tokens)}`, ...waysRows(ways, targets[0].target) })}
${note(html`${counted(prompts.length, "prompt")}; all ways ran by turns.${best === null ? "" : html` Fastest of those that are lossless for their own target: ${foreign(nameOf(best))}.`}`)}`;
}

function speedFigure(contextTokens: number, ways: readonly ComparedWay[], reference: string): Html {
  const plain = ways.find(({ target, drafter }) => target === reference && drafter === "none");
  return figure({
    title: `Tokens per second, context ${whole(contextTokens)}`,
    caption: `Bars: measured; whiskers: 95 % interval over prompts. Plain decoding of ${reference} is the dashed line.`,
    chart: rowsChart({
      x: { label: "tokens per second", scale: "linear", include: [0] },
      rows: ways.map((way) => speedRow(nameOf(way), way.tokens_per_second)),
      ...(plain === undefined ? {} : { reference: plain.tokens_per_second.median }),
      alternative: ways
        .map((way) => `${nameOf(way)}: ${significant(way.tokens_per_second.median)} tokens per second.`)
        .join(" "),
    }),
    data: waysRows(ways, reference),
  });
}

const waysRows = (ways: readonly ComparedWay[], reference: string): Omit<TableSpec, "caption"> => ({
  columns: [
    prose("Target"),
    prose("Drafter"),
    prose("Drafts"),
    numeric("Accepted"),
    numeric("Tokens/s"),
    numeric("95 % interval"),
    numeric(`Over plain ${reference}`),
    numeric("95 % interval"),
    numeric("Over its own plain"),
    prose("Output"),
  ],
  rows: ways.map((way): Part[] => [
    way.target,
    foreign(way.drafter),
    foreign(way.drafts),
    orNone(way.acceptance, percent),
    significant(way.tokens_per_second.median),
    intervalText(way.tokens_per_second, significant),
    factor(way.speedup.median),
    intervalText(way.speedup),
    factor(way.own_speedup.median),
    way.lossless ? `its target’s own${way.ties === 0 ? "" : `, ${counted(way.ties, "tie")}`}` : "NOT its target’s own",
  ]),
});

function lossFigure({ targets }: TargetComparison): Html {
  const [{ target: reference }] = targets;
  const loss = (ratio: number) => 100 * (ratio - 1);
  return figure({
    title: `Perplexity above that of ${reference}`,
    caption: `Per cent; whiskers: 95 % interval over windows. ${reference} is 0.`,
    chart: rowsChart({
      x: { label: `per cent above ${reference}`, scale: "linear", include: [0] },
      rows: targets.map(({ target, perplexity_ratio: { median, low, high } }) => {
        const limits = limitsOf({ low, high });
        const whiskers = limits === null ? {} : { low: loss(limits.low), high: loss(limits.high) };
        const mark = { at: loss(median), ...whiskers, style: MEASURED, title: `${fixed(loss(median), 2)} %` };
        return { name: target, value: `${fixed(loss(median), 2)} %`, marks: [mark] };
      }),
      alternative: targets
        .map(({ target, perplexity_ratio: ratio }) => `${target}: ${fixed(loss(ratio.median), 2)} per cent.`)
        .join(" "),
    }),
    data: qualityRows({ targets }),
  });
}

const qualityRows = ({ targets }: Pick<TargetComparison, "targets">): Omit<TableSpec, "caption"> => ({
  columns: [
    prose("Target"),
    numeric("Matrices, MB"),
    numeric("Perplexity"),
    numeric(`Over ${targets[0].target}’s`),
    numeric("95 % interval"),
    numeric(`Likeliest token as ${targets[0].target}`),
    numeric("95 % interval"),
  ],
  rows: targets.map(({ target, weight_bytes, requantised, perplexity, perplexity_ratio, agreement }): Part[] => [
    requantised === undefined ? target : html`${target} (the file has ${foreign(requantised)}, quantised once more)`,
    whole(weight_bytes / 1e6),
    significant(perplexity),
    fixed(perplexity_ratio.median, 4),
    intervalText(perplexity_ratio, (x) => fixed(x, 4)),
    percent(agreement.median),
    intervalText(agreement, percent),
  ]),
});
