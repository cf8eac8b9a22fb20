/** An export: which draft went to which engine, what to expect of it there, and what its form leaves out. */
import type { ExportPrediction } from "../../schema/export.js";
import { draftText } from "../../schema/plan-text.js";
import { prose, table, text } from "../charts/figure.js";
import { counted, factor, fixed, percent, range, whole } from "../format.js";
import { foreign, foreignPath, type Html, html } from "../html.js";
import type { Shown } from "../types.js";
import { digestText, facts, modelText, note } from "./facts.js";

export function exportBody({ document }: Shown<"draftplan/export">): Html {
  const { engine, model, segment, draft_tokens, predicted, notes, files } = document;
  return html`${facts(
    ["Engine", engine.tried_version === null ? engine.name : `${engine.name}, tried with ${engine.tried_version}`],
    ["Model", modelText(model)],
    ["Context", range(segment)],
    ["Draft", `${draftText(document, model.layers)}, ${counted(draft_tokens, "token")} a round`],
    ["Predicted", predicted === null ? "nothing: not measured as this engine drafts" : predictionText(predicted)],
  )}
${notes.map((sentence) => note(foreign(sentence)))}
${table({
  caption: "Files",
  columns: [prose("file"), text("bytes"), text("SHA-256")],
  rows: files.map((file) => [foreignPath(file.path), whole(file.bytes), digestText(file.sha256)]),
})}`;
}

const predictionText = ({ acceptance, accepted_length, speedup }: ExportPrediction): string =>
  `acceptance ${percent(acceptance)}, ${fixed(accepted_length, 2)} tokens a round${speedup === null ? "" : `, ${factor(speedup)} by the plan’s profile`}`;
