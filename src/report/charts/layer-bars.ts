/** One bar a layer, and within it a narrower one for every further series. */
import { type Html, html } from "../html.js";
import { type Box, makeAxis, place, tickRoom, WIDTH, xAxis, yAxis } from "./axis.js";
import { svg } from "./figure.js";
import { type SeriesStyle, seriesGroup } from "./series.js";

export interface LayerSeries {
  name: string;
  style: SeriesStyle;
  /** [L] */
  values: readonly number[];
}

export interface LayerBarsChart {
  /** with its unit */
  label: string;
  layers: number;
  series: readonly LayerSeries[];
  alternative: string;
}

const PLOT_HEIGHT = 150;
const TOP = 26;

export function layerBars({ label, layers, series, alternative }: LayerBarsChart): Html {
  const bottom = TOP + PLOT_HEIGHT;
  const values = series.flatMap((one) => one.values);
  const up = makeAxis(values, { label, scale: "linear", include: [0] }, [bottom, TOP], false);
  const box: Box = { left: tickRoom(up.ticks), right: WIDTH - 8, top: TOP, bottom };
  const along = makeAxis(
    [-0.5, layers - 0.5],
    { label: "layer", scale: "linear", integers: true, tight: true },
    [box.left, box.right],
    true,
  );
  const slot = (box.right - box.left) / layers;
  const bars = ({ style, values }: LayerSeries, order: number) => {
    const width = slot * 0.84 * (1 - order / series.length);
    return seriesGroup(
      style,
      ...values.map(
        (value, layer) =>
          html`<rect class="${order === 0 ? "fill" : "solid"}" x="${fine(along.at(layer) - width / 2)}" y="${place(up.at(value))}" width="${fine(width)}" height="${place(Math.max(0, bottom - up.at(value)))}"/>`,
      ),
    );
  };
  return svg(
    bottom + 36,
    alternative,
    yAxis(up, box),
    series.map(bars),
    xAxis({ ...along, ticks: along.ticks }, bare(box)),
  );
}

/** Bars of a thousand layers are narrower than a tenth of a unit. */
const fine = (value: number): string => String(Math.round(value * 1000) / 1000);

/** Upright lines between bars would only be read as bars. */
const bare = (box: Box): Box => ({ ...box, top: box.bottom });
