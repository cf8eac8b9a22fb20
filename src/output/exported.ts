/** What `export` made. */
import type { Export } from "../schema/export.js";
import { exportLines } from "./document-summary.js";

export const exportSummary = (document: Export, place: string): string =>
  [...exportLines(document), "", `Written to ${place}; its README.md has the command to run.`].join("\n");
