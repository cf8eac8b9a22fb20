/** Blocks that documents name, held against the model that they are of. */
import { expandDraft } from "./choice.js";
import type { AnyDocument } from "./document.js";

/** What the schema alone cannot see: blocks that the model does not have, or that are named twice. @throws */
export function checkBlocks(document: AnyDocument, path: string): void {
  const { layers } = document.model;
  if (document.kind === "draftplan/plan") {
    document.segments.forEach((segment, i) => {
      if (segment.draft !== undefined) expandDraft(segment.draft, layers, `${path}: segments[${i}].draft`);
    });
  }
  if (document.kind === "draftplan/export" && document.draft !== undefined) {
    expandDraft(document.draft, layers, `${path}: draft`);
  }
  if (document.kind === "draftplan/comparison") {
    document.contexts.forEach(({ rows }, i) => {
      rows.forEach(({ draft }, j) => {
        if (draft !== undefined) expandDraft(draft, layers, `${path}: contexts[${i}].rows[${j}].draft`);
      });
    });
  }
  if (document.kind === "draftplan/calibration") {
    document.measured.forEach((measured, i) => {
      expandDraft(measured.draft, layers, `${path}: measured[${i}].draft`);
    });
  }
}
