/** README.md of an export's folder: how to run it, what to expect, what is lost. */
import type { Export } from "../schema/export.js";
import { draftText } from "../schema/plan-text.js";
import type { Written } from "./exporter.js";

/** @param isOther what the engine drafts is not what the plan predicts: one of the notes says why */
export function readmeOf(document: Export, { usage }: Written, isOther: boolean): string {
  const { engine, model, segment, draft_tokens: d, notes } = document;
  return `# A draft of ${oneLine(model.name)} for ${engine.name}

Made by draftplan from a plan: ${draftText(document, model.layers)}; ${d} tokens a round, for contexts of ${segment.from} to ${segment.to} tokens. The output stays the target's own; a draft only changes how soon it comes. \`export.yaml\` says the same for programs, with the digest of every file.

## Run it

${usage.trim()}

## What to expect

${expectation(document, isOther)}

## What is lost

${notes.length === 0 ? "Nothing that draftplan knows of." : notes.map((note) => `- ${oneLine(note)}`).join("\n")}
`;
}

function expectation({ predicted, engine }: Export, isOther: boolean): string {
  const tried =
    engine.tried_version === null
      ? `This form follows ${engine.name}'s documentation and was not run there.`
      : `This form was tried with ${engine.name} ${engine.tried_version}.`;
  if (predicted === null && isOther) return `Nothing is predicted, for a reason given under "What is lost". ${tried}`;
  if (predicted === null)
    return `Nothing is predicted: acceptance was not measured with a draft that fills a cache of its own, as ${engine.name} drafts. ${tried}`;
  const { acceptance, accepted_length, speedup, acceptance_curve } = predicted;
  const speed =
    speedup === null
      ? ""
      : ` By the plan's profile, which is of the device and the engine it was made on, that is ${speedup.toFixed(2)} times plain decoding.`;
  return `Acceptance ${(100 * acceptance).toFixed(1)} % (accepted tokens by tokens drafted up to and including the first rejection), ${accepted_length.toFixed(2)} tokens a round, the target's own counted; the first ${acceptance_curve.length - 1} tokens of a round are all accepted with chances ${acceptance_curve
    .slice(1)
    .map((a) => a.toFixed(3))
    .join(", ")}.${speed} ${tried}`;
}

/** Names and messages may hold anything; in markdown they are one line of text. */
const oneLine = (text: string): string => text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").trim();
