/**
 * draftplan report: any set of documents as one page that needs nothing else: no script, no network, no other file. Pure:
 * the same documents and time give the same page.
 */
import type { Kind } from "../schema/document.js";
import { arrange, DOCUMENT_KIND_NAMES } from "./documents.js";
import { foreignPath, type Html, html } from "./html.js";
import { page } from "./page.js";
import { calibrationBody } from "./sections/calibration.js";
import { comparisonBody } from "./sections/comparison.js";
import { exportBody } from "./sections/export.js";
import { historySection } from "./sections/history.js";
import { overviewSection } from "./sections/overview.js";
import { planBody } from "./sections/plan.js";
import { profileBody } from "./sections/profile.js";
import { provenanceSection } from "./sections/provenance.js";
import { targetsBody } from "./sections/targets.js";
import { verificationBody } from "./sections/verification.js";
import type { Documents, ReportInput, Section, Shown } from "./types.js";

export type { PartCosts, ReportInput } from "./types.js";

/** A section over several documents; null where these documents give it nothing to say. */
type AcrossDocuments = (documents: Documents) => Section | null;

/** Before the documents themselves, in this order. What compares documents, or follows them over time, belongs here. */
const FIRST: readonly AcrossDocuments[] = [overviewSection, historySection];

/** One section for each kind, results before what they were made from. */
const ORDER: readonly Kind[] = [
  "draftplan/verification",
  "draftplan/comparison",
  "draftplan/targets",
  "draftplan/export",
  "draftplan/plan",
  "draftplan/calibration",
  "draftplan/profile",
];

const LAST: readonly AcrossDocuments[] = [provenanceSection];

export function renderReport(input: ReportInput): string {
  const documents = arrange(input);
  const across = (writers: readonly AcrossDocuments[]) => writers.flatMap((write) => write(documents) ?? []);
  const sections = [...across(FIRST), ...ORDER.flatMap((kind) => kindSection(kind, documents) ?? []), ...across(LAST)];
  return page({ title: titleOf(documents), created: input.created, sections });
}

function kindSection(kind: Kind, documents: Documents): Section | null {
  const ofKind = documents.all.filter(({ document }) => document.kind === kind);
  if (ofKind.length === 0) return null;
  return {
    id: `all-${DOCUMENT_KIND_NAMES[kind].one}`,
    title: DOCUMENT_KIND_NAMES[kind].many,
    body: html`${ofKind.map((shown) => documentPart(shown, documents))}`,
    entries: ofKind.map(({ id, path }) => ({ id, title: path })),
  };
}

const documentPart = (shown: Shown, documents: Documents): Html =>
  html`<article class="document" aria-labelledby="${shown.id}"><h3 id="${shown.id}">${foreignPath(shown.path)}</h3>
${bodyOf(shown, documents)}</article>
`;

function bodyOf(shown: Shown, documents: Documents): Html {
  switch (shown.document.kind) {
    case "draftplan/verification":
      return verificationBody(shown as Shown<"draftplan/verification">, documents);
    case "draftplan/comparison":
      return comparisonBody(shown as Shown<"draftplan/comparison">);
    case "draftplan/targets":
      return targetsBody(shown as Shown<"draftplan/targets">);
    case "draftplan/export":
      return exportBody(shown as Shown<"draftplan/export">);
    case "draftplan/plan":
      return planBody(shown as Shown<"draftplan/plan">);
    case "draftplan/calibration":
      return calibrationBody(shown as Shown<"draftplan/calibration">);
    case "draftplan/profile":
      return profileBody(shown as Shown<"draftplan/profile">, documents);
  }
}

/** One model gives the page its name. */
function titleOf({ all }: Documents): string {
  const [first, ...others] = new Set(all.map(({ document }) => document.model.name));
  return first === undefined || others.length > 0 ? "draftplan report" : `draftplan report: ${first}`;
}
