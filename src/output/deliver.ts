/** A document as a verb's result. */
import { type AnyDocument, stringifyDocument, writeDocument } from "../schema/document.js";
import type { Printer } from "./printer.js";

/** Where documents are printed to instead of written. */
export const STDOUT = "-";

/**
 * Writes a document and shows what it says; `-` prints the document itself.
 * @param summary what a person reads of a document that was written
 * @throws FILE_UNWRITABLE
 */
export function deliverDocument(document: AnyDocument, output: string, printer: Printer, summary: () => string): void {
  if (output !== STDOUT) writeDocument(output, document);
  printDocument(document, output, printer, summary);
}

/** The same for a document that is written already. */
export function printDocument(document: AnyDocument, output: string, printer: Printer, summary: () => string): void {
  if (printer.json) printer.print(JSON.stringify(document));
  else if (output === STDOUT) printer.write(stringifyDocument(document));
  else printer.print(summary());
}
