/** draftplan inspect: what a model, a folder of heads or a document is, and whether it is valid. */
import { DraftplanError } from "../core/errors.js";
import { summariseDocument } from "../output/document-summary.js";
import { headsLines } from "../output/heads-facts.js";
import { modelLines } from "../output/model-facts.js";
import { headsFactsAt } from "../pipeline/heads-facts.js";
import { modelFactsAt } from "../pipeline/model-facts.js";
import { checkBlocks } from "../schema/blocks.js";
import { type AnyDocument, type Loaded, readDocument } from "../schema/document.js";
import type { CommandContext } from "./context.js";

export async function inspectCommand(
  path: string,
  { context: tokens, choices }: { context?: number[]; choices?: string[] },
  context: CommandContext,
): Promise<void> {
  const heads = await headsFactsAt(path);
  if (heads !== null) {
    if (context.json) context.print(JSON.stringify(heads));
    else for (const line of headsLines(heads)) context.print(line);
    return;
  }
  const facts = await modelFactsAt(path, { ...context, tokens, choices });
  if (facts === null) inspectDocument(path, context);
  else if (context.json) context.print(JSON.stringify(facts));
  else for (const line of modelLines(facts)) context.print(line);
}

function inspectDocument(path: string, context: CommandContext): void {
  let loaded: Loaded<AnyDocument>;
  try {
    loaded = readDocument(path);
    checkBlocks(loaded.document, path);
  } catch (error) {
    // The verdict is the result here; the error itself still goes to stderr, with its exit code.
    if (context.json && error instanceof DraftplanError) {
      const { code, at, what, remedy } = error;
      context.print(
        JSON.stringify({
          file: path,
          kind: null,
          valid: false,
          sha256: null,
          model: null,
          summary: null,
          error: { code, at, what, remedy },
        }),
      );
    }
    throw error;
  }
  const { document, sha256 } = loaded;
  const summary = summariseDocument(document);
  if (context.json) {
    context.print(
      JSON.stringify({
        file: path,
        kind: document.kind,
        valid: true,
        sha256,
        model: document.model,
        summary,
        error: null,
      }),
    );
    return;
  }
  context.print(`${path}: a valid ${document.kind}, version ${document.version}`);
  context.print(`sha256 ${sha256}`);
  for (const line of summary) context.print(line);
}
