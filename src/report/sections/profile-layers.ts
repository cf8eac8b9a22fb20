/** Bars by layer: what each attention and each MLP block costs. */
import { BLOCK_KINDS, type BlockKind, KERNEL_NAMES } from "../../schema/choice.js";
import type { Profile, ProfilePoint } from "../../schema/profile.js";
import { details, figure, figures, numeric } from "../charts/figure.js";
import { layerBars } from "../charts/layer-bars.js";
import { legend } from "../charts/series.js";
import { duration, significant, timeUnit } from "../format.js";
import { type Html, html, type Part } from "../html.js";
import { choiceStyle, spread } from "./facts.js";
import { atQuery, BLOCK_NAMES } from "./profile-curves.js";

const MAX_CONTEXTS = 4;

/** One token in the pass: there every kernel was measured. The longest context is in sight: there attention matters most. */
export function layerFigures(profile: Profile): Html {
  const [longest, ...shorter] = spread(atQuery(profile, 1), MAX_CONTEXTS).reverse();
  const pair = (point: ProfilePoint) => figures(BLOCK_KINDS.map((kind) => layerFigure(point, kind)));
  return html`${pair(longest)}${shorter.length > 0 && details("By layer at shorter contexts", shorter.map(pair))}`;
}

function layerFigure(point: ProfilePoint, kind: BlockKind): Html {
  const kernels = KERNEL_NAMES.flatMap((kernel) => {
    const us = point[`${kind}_us`][kernel];
    return us === undefined ? [] : [{ name: kernel, style: choiceStyle(kernel), us }];
  });
  const all = kernels.flatMap(({ us }) => us);
  const unit = timeUnit(Math.max(...all));
  const layers = kernels[0].us.length;
  return figure({
    title: `${BLOCK_NAMES[kind]} by layer, context ${point.context_tokens}`,
    caption: "One token in the pass. A layer stands out only where measurements say so; all others share one cost.",
    legend: legend(kernels.map(({ name, style }, i) => ({ name, style, drawn: i === 0 ? "area" : "solid" }))),
    chart: layerBars({
      label: unit.name,
      layers,
      series: kernels.map(({ name, style, us }) => ({ name, style, values: us.map((one) => one / unit.us) })),
      alternative: kernels
        .map(({ name, us }) => `${name}: ${duration(Math.min(...us))} to ${duration(Math.max(...us))}.`)
        .join(" "),
    }),
    data: {
      columns: [numeric("Layer"), ...kernels.map(({ name }) => numeric(`${name}, ${unit.name}`))],
      rows: Array.from({ length: layers }, (_, layer): Part[] => [
        layer,
        ...kernels.map(({ us }) => significant(us[layer] / unit.us, 4)),
      ]),
    },
  });
}
