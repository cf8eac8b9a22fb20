/** Where everything on the page comes from: digests, models, devices, and which document was made from which. */

import type { Device } from "../../schema/common.js";
import { details, numeric, prose, table, text } from "../charts/figure.js";
import { DOCUMENT_KIND_NAMES } from "../documents.js";
import { foreign, foreignPath, type Html, html, type Part } from "../html.js";
import { fileName, type Input, inputsOf } from "../lineage.js";
import type { Documents, Section, Shown } from "../types.js";
import { deviceText, digestText, NONE, note, verdict } from "./facts.js";

export function provenanceSection(documents: Documents): Section {
  const inputs = documents.all.flatMap((shown) => inputsOf(shown, documents).map((input) => ({ shown, input })));
  const body = html`${table({
    caption: "Documents on this page",
    columns: [
      prose("Document"),
      text("Kind"),
      text("SHA-256"),
      prose("Model"),
      numeric("Layers"),
      text("Architecture"),
      text("Weights"),
      prose("Device"),
    ],
    rows: documents.all.map(documentRow),
  })}
${details("Digests in full", digestTable(documents.all))}
<h3 id="made-from">Which was made from which</h3>
${inputs.length === 0 ? note("No document here names another.") : inputTable(inputs)}
${differences(documents)}`;
  return {
    id: "provenance",
    title: "Provenance",
    body,
    entries: [{ id: "made-from", title: "Which was made from which" }],
  };
}

function documentRow({ document, id, path, sha256 }: Shown): Part[] {
  const { model } = document;
  const device = deviceOf({ document });
  return [
    html`<a href="#${id}">${foreignPath(path)}</a>`,
    DOCUMENT_KIND_NAMES[document.kind].one,
    digestText(sha256),
    foreign(model.name),
    model.layers,
    digestText(model.architecture_sha256),
    model.weights_sha256 === null ? "not recorded" : digestText(model.weights_sha256),
    device === undefined ? NONE : deviceText(device),
  ];
}

/** In full for whoever compares or copies them. */
const digestTable = (all: readonly Shown[]): Html =>
  table({
    caption: "SHA-256 of every document, of its model’s architecture and of its weights",
    columns: [prose("Document"), text("Document’s own"), text("Architecture"), text("Weights")],
    rows: all.map(({ path, sha256, document: { model } }): Part[] => [
      foreignPath(path),
      html`<code>${sha256}</code>`,
      html`<code>${model.architecture_sha256}</code>`,
      model.weights_sha256 === null ? NONE : html`<code>${model.weights_sha256}</code>`,
    ]),
  });

const deviceOf = ({ document }: Pick<Shown, "document">): Device | undefined =>
  "device" in document ? document.device : undefined;

const inputTable = (inputs: readonly { shown: Shown; input: Input }[]): Html =>
  table({
    caption: "Inputs by the digest that each document carries",
    columns: [prose("Document"), text("Made from"), prose("Its name there"), text("SHA-256"), prose("On this page")],
    rows: inputs.map(({ shown, input: { role, ref, found } }): Part[] => [
      html`<a href="#${shown.id}">${foreignPath(shown.path)}</a>`,
      role,
      foreignPath(ref.path),
      digestText(ref.sha256),
      foundText(found),
    ]),
  });

function foundText(found: Input["found"]): Html {
  switch (found.state) {
    case "given":
      return html`<a href="#${found.document.id}">${foreignPath(fileName(found.document.path))}</a> ${verdict("good", "digests match")}`;
    case "other":
      return html`<a href="#${found.document.id}">${foreignPath(fileName(found.document.path))}</a> ${verdict("bad", "has another digest: changed since, or another document")}`;
    case "absent":
      return verdict("open", "not given");
  }
}

/** What cannot be compared is said before somebody compares it. */
function differences({ all }: Documents): Html | null {
  const distinct = (values: readonly string[]) => new Set(values).size;
  const architectures = distinct(all.map(({ document }) => document.model.architecture_sha256));
  const weights = distinct(all.flatMap(({ document }) => document.model.weights_sha256 ?? []));
  const devices = distinct(all.flatMap((shown) => deviceOf(shown) ?? []).map(deviceText));
  const lines = [
    architectures > 1 && `These documents are of ${architectures} architectures.`,
    architectures === 1 &&
      weights > 1 &&
      `These documents are of ${weights} sets of weights: acceptance does not carry over.`,
    devices > 1 && `These documents are from ${devices} devices: between devices only ratios and acceptance compare.`,
  ].filter((line) => line !== false);
  return lines.length === 0 ? null : html`${lines.map(note)}`;
}
