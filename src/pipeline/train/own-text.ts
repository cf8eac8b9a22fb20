/** What heads are trained on: the target's own text with its states, and before it text that the target only read. */
import { continuePrompts } from "../../calibrate/continuation.js";
import { makePrompts, type TextCodec } from "../../calibrate/windows.js";
import { DraftplanError } from "../../core/errors.js";
import type { Progress } from "../../core/progress.js";
import type { ModelSpec } from "../../model/spec.js";
import type { Clock, Engine } from "../../runtime/engine.js";
import { MAX_PASS_TOKENS } from "../../runtime/limits.js";
import { continueSideBySide } from "../../runtime/side-by-side/continue.js";
import type { SideBySide } from "../../runtime/side-by-side/texts.js";
import { targetChoices } from "../../schema/choice.js";
import { type OwnText, positionsOf } from "../../train/examples.js";
import type { Part, WorkFolder } from "../../train/work-folder.js";
import { type CalibrationText, contextPrompts } from "../text/calibration-text.js";

/** Tokens that each prompt is continued by. */
const CONTINUATION = 128;
/** tokens of prompts: short and long ones by turns */
const CONTEXTS = [32, 128, 512];
/** continuations of the part that is trained on, for each of the other */
const TRAIN_FOR_EACH = 5;

/** tokens of a piece of text that is only read */
const READ = 512;

export interface PromptOfPart {
  part: Part;
  ids: readonly number[];
}

/** Room that the cache needs for it. */
export const ownTextCapacity = (spec: ModelSpec): number =>
  Math.max(Math.max(...contextsOf(spec)) + CONTINUATION + 2, readTokens(spec));

const readTokens = ({ contextLimit }: ModelSpec): number => Math.min(READ, contextLimit);

/**
 * Pieces of the text that plans are chosen on, to be read: fewer where there is less text.
 * @param positions wanted
 */
export function textToRead(
  text: CalibrationText,
  codec: TextCodec,
  spec: ModelSpec,
  positions: number,
  heads: number,
): PromptOfPart[] {
  const tokens = readTokens(spec);
  const wanted = Math.ceil(positions / Math.max(1, tokens - 1 - heads));
  if (wanted === 0) return [];
  return makePrompts(text.choose, codec, tokens, wanted).map((ids) => ({ part: "read", ids }));
}

function contextsOf({ contextLimit }: ModelSpec): number[] {
  const fitting = CONTEXTS.filter((context) => context + CONTINUATION + 2 <= contextLimit);
  return fitting.length > 0 ? fitting : [Math.max(1, contextLimit - CONTINUATION - 2)];
}

/**
 * Prompts in the order in which they are continued: of both parts, all kinds of text and all lengths by turns.
 * The parts are those of a calibration: documents to choose on are trained on, those to report on are held back.
 * @param positions wanted of the part that is trained on
 * @throws TEXT_TOO_SHORT
 */
export function trainingPrompts(
  text: CalibrationText,
  codec: TextCodec,
  spec: ModelSpec,
  positions: number,
  heads: number,
): PromptOfPart[] {
  const contexts = contextsOf(spec);
  const each = CONTINUATION - heads;
  const wanted = Math.ceil(positions / each / contexts.length);
  const made = contextPrompts(text, codec, contexts, wanted);
  const train = lists(made.map(({ choose }) => choose));
  const heldBack = lists(made.map(({ report }) => report));
  const prompts: PromptOfPart[] = [];
  train.forEach((ids, i) => {
    prompts.push({ part: "train", ids });
    const other = heldBack[Math.floor(i / TRAIN_FOR_EACH)];
    if (i % TRAIN_FOR_EACH === 0 && other !== undefined) prompts.push({ part: "held back", ids: other });
  });
  return prompts;
}

/** The first of every list, then the second of every list, and so on. */
function lists(all: readonly (readonly (readonly number[])[])[]): (readonly number[])[] {
  const most = Math.max(...all.map(({ length }) => length));
  return Array.from({ length: most }, (_, i) => all.flatMap((list) => (i < list.length ? [list[i]] : []))).flat();
}

/**
 * Reads and continues prompts until they are at an end or the time is up.
 * @returns whether the time was up
 * @throws TEXT_TOO_SHORT where there is too little to train on
 */
export async function collectOwnText(
  engine: Engine,
  clock: Clock,
  {
    prompts,
    work,
    texts,
    norm,
    heads,
    untilUs,
    progress,
  }: {
    prompts: readonly PromptOfPart[];
    work: WorkFolder;
    /** continues prompts many at once; null: the engine does, one after another */
    texts: SideBySide | null;
    /** the final norm's weight [hiddenSize] */
    norm: Float32Array;
    heads: number;
    untilUs: number;
    progress: Progress;
  },
): Promise<boolean> {
  let late = false;
  while (work.asked < prompts.length) {
    const done = work.asked;
    const { part, ids } = prompts[done];
    await progress.tick({ stage: part === "read" ? "read text" : "continue text", done, total: prompts.length });
    late = clock.nowUs() >= untilUs;
    if (late) break;
    if (part === "read") {
      work.add(part, { ids: Int32Array.from(ids.slice(1)), states: statesOf(engine, 0, ids.slice(0, -1), norm) });
    } else if (texts === null) {
      const [made] = await continuePrompts(engine, clock, [ids], CONTINUATION - 1, progress);
      work.add(part, made === undefined ? null : stated(engine, ids, made.ids, norm));
    } else {
      const wave = prompts.slice(done, done + texts.places).filter((prompt) => prompt.part !== "read");
      const made = await continueSideBySide(texts, wave, {
        ...{ tokens: CONTINUATION, endTokens: engine.spec.eosTokenIds, hiddenSize: engine.spec.hiddenSize },
        ...{ kept: "states", late: () => clock.nowUs() >= untilUs, tick: () => progress.tick() },
      });
      made.forEach((text, i) => {
        work.add(wave[i].part, text);
      });
    }
  }
  const positions = (part: Part) => work.of(part).reduce((sum, text) => sum + positionsOf(text, heads), 0);
  if (positions("train") >= LEAST_POSITIONS && positions("held back") >= LEAST_HELD_BACK) return late;
  throw new DraftplanError({
    code: "TEXT_TOO_SHORT",
    at: "text to train on",
    what: `the target's own continuations have ${positions("train")} positions to train on and ${positions("held back")} held back; ${LEAST_POSITIONS} and ${LEAST_HELD_BACK} are the least`,
    remedy: late ? "Give more time with --budget." : "Give more text with --text FILE..., several documents of it.",
  });
}

const LEAST_POSITIONS = 512;
const LEAST_HELD_BACK = 128;

/** Runs the continuation once more, all its tokens at once, behind the prompt that the cache holds: its states. */
function stated(engine: Engine, prompt: readonly number[], ids: readonly number[], norm: Float32Array): OwnText {
  const input = [prompt[prompt.length - 1], ...ids.slice(0, -1)];
  return { ids: Int32Array.from(ids), states: statesOf(engine, prompt.length - 1, input, norm) };
}

/** @returns [tokens, hiddenSize] states behind the final norm */
function statesOf(engine: Engine, position: number, tokens: readonly number[], norm: Float32Array): Float32Array {
  const { hiddenSize, layers, rmsEps } = engine.spec;
  const states = new Float32Array(tokens.length * hiddenSize);
  for (let from = 0; from < tokens.length; from += MAX_PASS_TOKENS) {
    const input = tokens.slice(from, from + MAX_PASS_TOKENS);
    const { hidden } = engine.run({
      position: position + from,
      input,
      choices: targetChoices(layers),
      logitRows: 0,
    });
    states.set(hidden, from * hiddenSize);
  }
  for (let row = 0; row < tokens.length; row++)
    normalise(states.subarray(row * hiddenSize, (row + 1) * hiddenSize), norm, rmsEps);
  return states;
}

/** The model's final RMS norm, in place. */
function normalise(state: Float32Array, norm: Float32Array, eps: number): void {
  let squares = 0;
  for (const value of state) squares += value * value;
  const scale = 1 / Math.sqrt(squares / state.length + eps);
  for (let i = 0; i < state.length; i++) state[i] *= scale * norm[i];
}
