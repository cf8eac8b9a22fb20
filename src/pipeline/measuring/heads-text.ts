/**
 * Trained heads along many prompts. Prompts differ in how well heads guess them by a third of the tokens of a round, whatever
 * their context, so what they yield is known as well as there are prompts, and heads are cheap to ask: all that it takes is the
 * target's own text with its states. That is written many texts at once (runtime/side-by-side), and several prompts begin
 * alike: a window of text and shorter beginnings of it, whose keys and values are computed once.
 */
import type { ContextPrompts } from "../../calibrate/calibrate.js";
import type { WrittenBefore } from "../../calibrate/continuation.js";
import type { HeadsEvidence } from "../../calibrate/heads-evidence.js";
import type { Progress } from "../../core/progress.js";
import { prefill } from "../../decode/loop.js";
import type { SavedRows } from "../../runtime/cache/saved-rows.js";
import { systemClock } from "../../runtime/device.js";
import type { Engine } from "../../runtime/engine.js";
import type { LoadedModel } from "../../runtime/load.js";
import { continueSideBySide, type SharedPrompt } from "../../runtime/side-by-side/continue.js";
import { openSideBySide } from "../../runtime/side-by-side/open.js";
import type { SideBySide } from "../../runtime/side-by-side/texts.js";
import { targetChoices } from "../../schema/choice.js";
import type { PipelineContext } from "../context.js";
import { isSmall, SAMPLE } from "../text/calibration-text.js";
import { TARGET_ERROR } from "./measuring.js";

type Part = "choose" | "report";

/**
 * Beginnings of a window that are continued too, itself counted: the longer it is, the more reading it costs, and the more is
 * shared; but every step behind a long one reads its keys and values too, which on a CPU is most of what such a text takes.
 * Texts behind one window are alike a little (of the embedded model a tenth of how texts of one kind differ), so they count as
 * one text in the error, and many windows of few are better than few of many where windows are cheap.
 */
const MOST_CUTS = { short: 6, long: 4 };
const WINDOW_OF_ONE_MORE = 128;
/** tokens by which beginnings differ, at least, and as a share of the window */
const CUT = { tokens: 16, share: 1 / 16 };
/** tokens from which caches are long */
const LONG = 1024;
/** tokens from which one turn of windows must do where it takes all the time there is */
const DEAR = 256;
/** Texts at once: a turn of six kinds at short contexts; fewer where their caches are long */
const PLACES = { short: 18, long: 8 };
const sizeOf = (tokens: number) => (tokens > LONG ? "long" : "short");

/** Lengths of the beginnings of a window, the longest first. */
export function cutsOf(tokens: number): number[] {
  const step = Math.max(CUT.tokens, Math.round(CUT.share * tokens));
  const most = Math.min(MOST_CUTS[sizeOf(tokens)], 2 + Math.floor(tokens / WINDOW_OF_ONE_MORE));
  return Array.from({ length: most }, (_, i) => tokens - i * step).filter(
    (length) => length >= Math.max(1, tokens / 2),
  );
}

/** Whether the heads' evidence can be had this way: where a second copy of the weights is cheap, and what is asked for is greedy text. */
export const canMeasureWidely = (
  { spec }: Pick<LoadedModel, "spec">,
  heads: HeadsEvidence | undefined,
  temperature: number | undefined,
  { provider }: Pick<PipelineContext, "provider">,
): boolean => heads?.readsOnlyChosen === true && temperature === undefined && provider === "cpu" && isSmall(spec);

/**
 * At every context and on both parts of the text one window of every kind at least, then more of them by turns, until the
 * tokens of a round are known well enough, the time is up or a document has room for no more.
 * @param limits `untilUs` by the system clock, for all of it (left out: each context has its own time alone); `tokens` that
 *   each prompt is continued by behind its first (left out: as a calibration does)
 * @returns by context what the target wrote behind whole windows of the `choose` part
 */
export async function measureHeadsWidely(
  model: LoadedModel,
  prompts: readonly ContextPrompts[],
  heads: HeadsEvidence,
  context: PipelineContext,
  {
    untilUs = Number.POSITIVE_INFINITY,
    tokens = SAMPLE.continuationTokens,
  }: { untilUs?: number; tokens?: number } = {},
): Promise<Map<number, WrittenBefore>> {
  const { modelPath, spec, dialect } = model;
  const { threads, ortLibrary } = context;
  const known = new Map<number, WrittenBefore>();
  for (const { atContext, kinds, chats, ...parts } of prompts) {
    const longest = Math.max(...parts.choose.map(({ length }) => length), ...parts.report.map(({ length }) => length));
    const capacity = longest + tokens + 2;
    const places = PLACES[sizeOf(longest)];
    const texts = openSideBySide(modelPath, spec, { threads, ortLibrary, dialect, capacity, places });
    try {
      for (const part of ["choose", "report"] as const) {
        const turns = turnsOf(parts[part], kinds?.[part]);
        const following = { atContext, part, turns, cut: chats !== true, untilUs, tokens: tokens + 1 };
        const written = await follow(model, texts, heads, following, context.progress);
        if (part === "choose") known.set(atContext, (prompt) => written.get(prompt.join()));
      }
    } finally {
      texts.close();
    }
  }
  return known;
}

interface Window {
  ids: readonly number[];
  kind: number | undefined;
}

/** Prompts by turns, each of which has one of every kind; where nobody says of what kind they are, all are one turn. */
function turnsOf(prompts: readonly (readonly number[])[], kinds: readonly number[] | undefined): Window[][] {
  const turns: Window[][] = [];
  prompts.forEach((ids, i) => {
    const kind = kinds?.[i];
    const turn = turns.find((windows) => windows.every((other) => other.kind !== kind || kind === undefined));
    if (turn === undefined) turns.push([{ ids, kind }]);
    else turn.push({ ids, kind });
  });
  return turns;
}

interface Following {
  atContext: number;
  part: Part;
  turns: readonly Window[][];
  /** whether beginnings of a window are prompts too: of a chat they are none */
  cut: boolean;
  untilUs: number;
  /** that each text has at most */
  tokens: number;
}

/**
 * Turn after turn: a kind of text is never heard more often than another, but for those that have too little text.
 * @returns tokens behind each whole window, by its ids
 */
async function follow(
  { spec, engine }: Pick<LoadedModel, "spec" | "engine">,
  texts: SideBySide,
  heads: HeadsEvidence,
  { atContext, part, turns, cut, untilUs, tokens }: Following,
  progress: Progress,
): Promise<Map<string, readonly number[]>> {
  const behind = new Map<string, readonly number[]>();
  const endUs = Math.min(untilUs, systemClock.nowUs() + 1e6 * SAMPLE.headsSeconds);
  const continuing = {
    ...{ tokens, endTokens: spec.eosTokenIds, hiddenSize: spec.hiddenSize, kept: "hidden" as const },
    ...{ late: () => false, tick: () => progress.tick({ stage: "heads" }) },
  };
  // one window of each kind says nothing of how windows of a kind differ; long ones are dear
  const leastTurns = atContext > DEAR ? 1 : 2;
  const isNew = (ids: readonly number[]) => !heads.has(atContext, part, ids);
  for (const [turn, windows] of turns.entries()) {
    const known = heads.error(atContext, part);
    if (turn >= leastTurns && ((known ?? 1) <= TARGET_ERROR || systemClock.nowUs() >= endUs)) break;
    const groups = windows.map((window) => ({ window, beginnings: beginningsOf(window.ids, cut).filter(isNew) }));
    for (const wave of wavesOf(groups, texts.places)) {
      if (heads.isFull(atContext, part, tokens * wave.length)) return behind;
      // the engine reads whole windows, and remembers them for whoever reads them next
      for (const one of wave) if (one.like === undefined) one.rows = await rowsOf(engine, one.ids, progress);
      const written = await continueSideBySide(texts, wave, continuing);
      for (const [i, text] of written.entries()) {
        if (text === null) continue;
        const { ids: prompt, window } = wave[i];
        if (prompt.length === window.ids.length) behind.set(prompt.join(), [...text.ids]);
        const origin = { prompt, window: window.ids, kind: window.kind };
        await heads.takeStated(atContext, part, { ...origin, ids: [...text.ids], states: text.states }, progress);
      }
    }
  }
  return behind;
}

/** Keys and values of a prompt; undefined where they are not in this process's memory. */
async function rowsOf(engine: Engine, prompt: readonly number[], progress: Progress): Promise<SavedRows | undefined> {
  if (engine.rows === undefined) return undefined;
  await prefill(engine, prompt, targetChoices(engine.spec.layers), progress);
  return engine.rows.save(0, prompt.length);
}

const beginningsOf = (ids: readonly number[], cut: boolean): (readonly number[])[] =>
  cut ? cutsOf(ids.length).map((length) => ids.slice(0, length)) : [ids];

type Wave = (SharedPrompt & { window: Window })[];

/** As many windows as there are places for, each with all its beginnings; one with more than there are places for in several waves. */
function wavesOf(
  groups: readonly { window: Window; beginnings: readonly (readonly number[])[] }[],
  places: number,
): Wave[] {
  const waves: Wave[] = [];
  for (const { window, beginnings } of groups)
    for (let from = 0; from < beginnings.length; from += places) {
      const some = beginnings.slice(from, from + places);
      let wave = waves.at(-1);
      if (wave === undefined || wave.length + some.length > places) {
        wave = [];
        waves.push(wave);
      }
      const first = wave.length;
      for (const [i, ids] of some.entries())
        wave.push({ ids, window, ...(i === 0 ? {} : { like: { of: first, shared: ids.length - 1 } }) });
    }
  return waves;
}
