/** A table whose cells are coloured by their value: a heat map that is read, scrolled and printed like any table. */
import { significant } from "../format.js";
import { type Html, html } from "../html.js";

export interface HeatTable {
  caption: string;
  /** what the rows and the columns are: `context n` */
  rowLabel: string;
  columnLabel: string;
  rows: readonly number[];
  columns: readonly number[];
  /** [rows][columns] in the caption's unit */
  values: readonly (readonly number[])[];
}

/** colours of style.ts, from faint to strong */
const STEPS = 8;

export function heatTable({ caption, rowLabel, columnLabel, rows, columns, values }: HeatTable): Html {
  const step = stepsOf(values.flat());
  return html`<div class="scroll" role="group" aria-label="${caption}" tabindex="0"><table class="heat">
<caption><span>${caption}</span></caption>
<thead><tr><th scope="col">${rowLabel}</th>${columns.map((column) => html`<th scope="col"><span>${columnLabel} </span>${column}</th>`)}</tr></thead>
<tbody>${rows.map(
    (row, i) =>
      html`<tr><th scope="row">${row}</th>${values[i].map((value) => html`<td class="h${step(value)}">${significant(value)}</td>`)}</tr>`,
  )}</tbody></table></div>`;
}

/** Equal ratios get equal steps: latencies span decades. */
function stepsOf(values: readonly number[]): (value: number) => number {
  const positive = values.filter((value) => value > 0);
  if (positive.length === 0) return () => 0;
  const low = Math.log(Math.min(...positive));
  const span = Math.log(Math.max(...positive)) - low;
  return (value) => {
    if (!(value > 0) || !(span > 0)) return 0;
    return Math.min(STEPS - 1, Math.floor(((Math.log(value) - low) / span) * STEPS));
  };
}
