/**
 * Charts and tables as the page holds them. Every chart has a name, a caption that says how to read it, a text in place
 * of the picture, and its numbers as a table: whoever cannot see the picture misses nothing.
 */
import { foreign, type Html, html, type Part } from "../html.js";
import { place, WIDTH } from "./axis.js";

export interface Column {
  label: string;
  /** numbers stand under each other, at the right; text keeps to one line; prose gets room for some words a line */
  holds: "numbers" | "text" | "prose";
}

export interface TableSpec {
  caption: string;
  columns: readonly Column[];
  /** the first cell names the row */
  rows: readonly (readonly Part[])[];
  /** the caption stands elsewhere on the page already */
  captionHidden?: boolean;
}

export const text = (label: string): Column => ({ label, holds: "text" });
export const prose = (label: string): Column => ({ label, holds: "prose" });
export const numeric = (label: string): Column => ({ label, holds: "numbers" });

/** Whoever works by keyboard scrolls the box that holds a wide table, so it takes the focus. */
export function table({ caption, columns, rows, captionHidden = false }: TableSpec): Html {
  const kind = (column: number) => html` class="${columns[column]?.holds ?? "text"}"`;
  const cell = (part: Part) => (typeof part === "string" ? foreign(part) : part);
  const body = rows.map(
    ([name, ...rest]) =>
      html`<tr><th scope="row"${kind(0)}>${cell(name)}</th>${rest.map((part, i) => html`<td${kind(i + 1)}>${cell(part)}</td>`)}</tr>`,
  );
  return html`<div class="scroll" role="group" aria-label="${caption}" tabindex="0"><table>
<caption${captionHidden && html` class="unseen"`}><span>${foreign(caption)}</span></caption>
<thead><tr>${columns.map(({ label }, i) => html`<th scope="col"${kind(i)}>${label}</th>`)}</tr></thead>
<tbody>${body}</tbody></table></div>`;
}

/** A drawing in the units of axis.ts. @param alternative what the picture shows, in words */
export const svg = (height: number, alternative: string, ...content: readonly Part[]): Html =>
  html`<svg class="chart" role="img" aria-label="${alternative}" viewBox="0 0 ${place(WIDTH)} ${place(height)}">${content}</svg>`;

export interface FigureSpec {
  title: string;
  /** how to read it */
  caption: Part;
  legend?: Html | undefined;
  chart: Html;
  /** the numbers drawn */
  data: Omit<TableSpec, "caption">;
  /** takes the whole width of the page */
  wide?: boolean;
}

export const figure = ({ title, caption, legend, chart, data, wide = false }: FigureSpec): Html =>
  html`<figure${wide && html` class="wide"`}><figcaption><strong>${foreign(title)}</strong> <span>${caption}</span></figcaption>
${legend}${chart}
${details(`Numbers: ${title}`, table({ ...data, caption: title, captionHidden: true }))}</figure>
`;

export const details = (summary: string, content: Part): Html =>
  html`<details><summary>${foreign(summary)}</summary>${content}</details>`;

/** Figures side by side where there is room. */
export const figures = (...content: readonly Part[]): Html => html`<div class="figures">${content}</div>`;
