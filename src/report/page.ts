/** The page around its sections: head, policy, table of contents, landmarks. */
import { sha256 } from "../schema/document.js";
import { moment } from "./format.js";
import { foreign, foreignPath, type Html, html, trusted } from "./html.js";
import { STYLE } from "./style.js";
import type { Section } from "./types.js";

export interface Page {
  title: string;
  /** ISO 8601 */
  created: string;
  sections: readonly Section[];
}

/**
 * Nothing is loaded, nothing runs, and only this program's own style counts: should a document's text ever slip through
 * as markup, it could do nothing.
 */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${Buffer.from(sha256(STYLE), "hex").toString("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

export const page = ({ title, created, sections }: Page): string =>
  html`${trusted("<!doctype html>")}
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${trusted(POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${trusted(STYLE)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header><h1>${foreign(title)}</h1>
<p>Made ${moment(created)}. Where nothing else is said: one sequence at a time (batch 1), greedy decoding.</p></header>
<nav aria-label="Contents"><h2>Contents</h2>${contents(sections)}</nav>
<main id="main" tabindex="-1">
${sections.map(sectionPart)}</main>
<footer><p>Made by draftplan from the documents named under <a href="#provenance">Provenance</a>. This page loads nothing and runs nothing.</p></footer>
</body>
</html>
`.text;

const sectionPart = ({ id, title, body }: Section): Html =>
  html`<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>
${body}</section>
`;

const contents = (sections: readonly Section[]): Html =>
  html`<ul>${sections.map(
    ({ id, title, entries }) =>
      html`<li><a href="#${id}">${title}</a>${entries.length > 0 && html`<ul>${entries.map((entry) => html`<li><a href="#${entry.id}">${foreignPath(entry.title)}</a></li>`)}</ul>`}</li>`,
  )}</ul>`;
