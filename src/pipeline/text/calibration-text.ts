/** The text that acceptance is measured on: read, tokenised, cut into prompts at each context. */
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { ContextPrompts } from "../../calibrate/calibrate.js";
import { type KindPrompt, kindPrompts, type TextCodec } from "../../calibrate/windows.js";
import { DraftplanError } from "../../core/errors.js";
import { readUserFile } from "../../core/user-file.js";
import { utf8Text } from "../../core/utf8.js";
import type { ModelSpec } from "../../model/spec.js";
import { sha256 } from "../../schema/document.js";
import type { Tokenizer } from "../../tokenizer/types.js";

export interface CalibrationText {
  /** one of each kind of text: of the bundled kinds, or of the files given */
  choose: readonly string[];
  report: readonly string[];
  source: string;
  sha256: string;
}

/** assets/calibration/README.md says what they are */
const BUNDLED = ["prose", "code", "chat", "table", "list", "language"].map((kind) =>
  fileURLToPath(new URL(`../../../assets/calibration/${kind}.txt`, import.meta.url)),
);

/** far more text than any calibration uses */
const MAX_BYTES = 64 << 20;
const readText = (file: string): string =>
  utf8Text(readUserFile(file, MAX_BYTES, "Check the path given to --text."), file);

/** Each file, or without files each kind of the bundled text, in its two parts: for choosing, and for reporting. */
export function readCalibrationText(files: readonly string[] | undefined): CalibrationText {
  const isBundled = files === undefined || files.length === 0;
  const texts = (isBundled ? BUNDLED : files).map(readText);
  const parts = texts.map(inParts);
  const source = isBundled ? "bundled" : files.map((file) => basename(file)).join(", ");
  return {
    choose: parts.map(([first]) => first),
    report: parts.map(([, second]) => second),
    source: source.slice(0, 400),
    sha256: sha256(texts.join("\0")),
  };
}

/**
 * A file of several documents, apart by form feeds, by turns: no document is in both parts, and both have some from all over
 * the file. One document is cut in halves.
 */
export function inParts(text: string): [string, string] {
  const documents = text.split(/\f\n?/).filter((document) => document.trim() !== "");
  if (documents.length < 2) return inHalves(text);
  const every = (first: number) => documents.filter((_, i) => i % 2 === first).join("\n\n");
  return [every(0), every(1)];
}

/** Cut at the first space after the middle; a text without spaces, such as Chinese, between two characters. */
export function inHalves(text: string): [string, string] {
  const middle = text.length >> 1;
  const space = text.indexOf(" ", middle);
  if (space !== -1) return [text.slice(0, space), text.slice(space + 1)];
  const insideCharacter = /[\uDC00-\uDFFF]/.test(text.charAt(middle)); // the second half of a surrogate pair
  const cut = insideCharacter ? middle + 1 : middle;
  return [text.slice(0, cut), text.slice(cut)];
}

/** parameters */
const SMALL_MODEL = 40e6;

export function isSmall(spec: ModelSpec): boolean {
  const layer = spec.hiddenSize * (4 * spec.hiddenSize + 3 * (spec.experts?.perToken ?? 1) * spec.intermediateSize);
  return spec.vocabSize * spec.hiddenSize + spec.layers * layer < SMALL_MODEL;
}

/** How much is measured where nothing else is asked for. */
export const SAMPLE = {
  /** at a context: losses of single choices, and every whole draft that is looked at */
  positions: (spec: ModelSpec): number => (isSmall(spec) ? 512 : 256),
  /** of each part at a context, that whole drafts may be measured on */
  mostPrompts: 48,
  continuationTokens: 64,
  /** for trained heads at a context, on each part of the text: cheap to measure, so on many prompts */
  headsSeconds: 2,
} as const;

/** Contexts that stand for all up to some 2,000 tokens; a large model's long prompts are dear, so it gets two. */
export function defaultContexts(spec: ModelSpec): number[] {
  const room = spec.contextLimit - SAMPLE.continuationTokens - 1;
  const wanted = isSmall(spec) ? [128, 512, 1536] : [128, 1024];
  const fitting = wanted.filter((context) => context <= room);
  return fitting.length > 0 ? fitting : [Math.max(1, Math.floor(room / 2))];
}

export const textCodec = (tokenizer: Tokenizer): TextCodec => ({
  encode: (text) => tokenizer.encode(text),
  decode: (ids) => tokenizer.decode(ids),
  chat: tokenizer.hasChatTemplate
    ? (content) =>
        tokenizer.encodeRendered(tokenizer.renderChat([{ role: "user", content }], { addGenerationPrompt: true }))
    : null,
});

/**
 * No prompt is in both parts, at any context: a text that repeats itself loses the repeated prompts of its second part.
 * @param perContext prompts wanted of each part at a context; fewer where the text has fewer places
 * @throws TEXT_TOO_SHORT where a part of the text does not fill one window
 */
export function contextPrompts(
  text: CalibrationText,
  codec: TextCodec,
  contexts: readonly number[],
  perContext?: number,
): ContextPrompts[] {
  const known = new Map<string, number[]>();
  const encode = (piece: string): number[] => {
    const ids = known.get(piece) ?? codec.encode(piece);
    known.set(piece, ids);
    return ids;
  };
  const once = { ...codec, encode };
  const chats = codec.chat === null ? {} : { chats: true as const };
  return contexts.map((atContext) => {
    const count = perContext ?? SAMPLE.mostPrompts;
    const choose = kindPrompts(text.choose, once, atContext, count);
    const chosenOn = new Set(choose.map(({ ids }) => String(ids)));
    const report = kindPrompts(text.report, once, atContext, count).filter(({ ids }) => !chosenOn.has(String(ids)));
    const idsOf = (prompts: readonly KindPrompt[]) => prompts.map(({ ids }) => ids);
    const kindsOf = (prompts: readonly KindPrompt[]) => prompts.map(({ kind }) => kind);
    const kinds = { choose: kindsOf(choose), report: kindsOf(report) };
    if (choose.length > 0 && report.length > 0)
      return { atContext, choose: idsOf(choose), report: idsOf(report), kinds, ...chats };
    throw new DraftplanError({
      code: "TEXT_TOO_SHORT",
      at: text.source,
      what: `half of the text does not fill one window of ${atContext} tokens that is not in the other half too`,
      remedy: "Give more text with --text FILE..., or shorter contexts with --context.",
    });
  });
}
