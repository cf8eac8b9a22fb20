/** Rounds over the grid, until the stop rule or a signal ends them. What a visit measures is in visit.ts. */

import { type Progress, silentProgress } from "../../core/progress.js";
import type { LocatedHeads } from "../../decode/drafters/heads.js";
import type { Clock, Engine } from "../../runtime/engine.js";
import { type Random, seededRandom } from "../../stats/random.js";
import type { Grid } from "../grid.js";
import type { Bench } from "./bench.js";
import { type HeadsRound, visitHeads } from "./heads.js";
import type { Observation, QueryLineRound } from "./pass.js";
import { type ProgramDeck, programDeck, visitPrograms } from "./programs.js";
import { nothingKept, type Recorder } from "./samples.js";
import { precisionReached, type StopReason, type StopRule, stopReason } from "./stop.js";
import { sameTokens, type Tokens, textTokens } from "./tokens.js";
import { visitContext, visitQueryLine } from "./visit.js";

export interface Sweep {
  observations: Observation[];
  /** [rounds] */
  queryLines: QueryLineRound[];
  /** [rounds] null: no heads were measured in it */
  headsRounds: (HeadsRound | null)[];
  rounds: number;
  stoppedBy: StopReason;
  /** what counts towards the time limit */
  elapsedUs: number;
  /** the programs that were timed; null: passes of the graph with choices, drawn anew in every visit */
  deck: ProgramDeck | null;
}

export interface SweepOptions extends Grid, StopRule {
  engine: Engine;
  clock: Clock;
  seed: number;
  progress?: Progress;
  /** when the time began to count; default: with the sweep */
  startUs?: number;
  recorder?: Recorder | undefined;
  /** trained heads, whose passes and trees are timed too; default: none */
  heads?: readonly LocatedHeads[] | undefined;
  /** trees are timed without heads too; default: false */
  trees?: boolean | undefined;
  /** of attention, measured beside the engine's kernels; default: none */
  spans?: Bench["spans"];
  /** ids of a text that passes are made of, one behind the other; default: some ids, the same in every pass */
  text?: readonly number[] | undefined;
  /** keeps what was measured when the progress is interrupted, if it suffices; without it the interruption is thrown */
  onInterrupted?: ((reason: unknown) => void) | undefined;
}

/** What has been measured up to now, rounds of earlier sweeps included. */
interface Standing {
  bench: Bench;
  observations: Observation[];
  queryLines: QueryLineRound[];
  headsRounds: (HeadsRound | null)[];
  rounds: number;
  visits: number;
  /** when the time began to count, brought forward by what earlier sweeps took */
  startUs: number;
  deck: ProgramDeck | null;
}

/** The work was asked to stop, apart from whatever else may fail. */
class SweepInterrupted extends Error {
  constructor(readonly reason: unknown) {
    super("interrupted");
  }
}

/**
 * Rounds over the grid in random order (A B C, B C A, …), the first not counted, until the stop rule says so.
 * Warns with PROFILE_BUDGET where the least number of rounds takes longer than the time for it.
 */
export async function sweep(options: SweepOptions): Promise<Sweep> {
  const standing = begin(options);
  const stoppedBy = await measureRounds(options, standing);
  const { observations, queryLines, headsRounds, rounds, startUs, deck } = standing;
  const elapsedUs = options.clock.nowUs() - startUs;
  if (stoppedBy !== "interrupted") warnOfBudget(options, rounds, elapsedUs);
  return { observations, queryLines, headsRounds, rounds, stoppedBy, elapsedUs, deck };
}

function begin({ engine, clock, queries, seed, recorder, startUs, spans, text }: SweepOptions): Standing {
  const kept = recorder?.kept ?? nothingKept();
  const random = seededRandom(seed, kept.rounds); // what goes on draws other passes than what began
  const ids = Array.from({ length: queries[queries.length - 1] }, () => random.index(engine.spec.vocabSize));
  return {
    bench: { engine, clock, random, ids, tokens: tokensOf(ids, text, random), spans },
    observations: [...kept.observations],
    queryLines: [...kept.queryLines],
    headsRounds: [...kept.headsRounds],
    rounds: kept.rounds,
    visits: kept.observations.reduce((last, { visit }) => Math.max(last, visit + 1), 0),
    startUs: (startUs ?? clock.nowUs()) - kept.elapsedUs,
    deck: engine.runQueued === undefined ? null : programDeck(engine.spec, engine, spans ?? [], seed),
  };
}

const tokensOf = (ids: readonly number[], text: readonly number[] | undefined, random: Random): Tokens =>
  text === undefined ? sameTokens(ids) : textTokens(text, random.index(text.length));

/** Fills `standing` round by round. @throws the reason of an interruption that comes too early, or that nobody asked for */
async function measureRounds(options: SweepOptions, standing: Standing): Promise<StopReason> {
  const { clock } = options;
  let roundUs = 0;
  try {
    for (let isWarm = false; ; isWarm = true) {
      const from = clock.nowUs();
      const nextEndUs = from - standing.startUs + roundUs;
      const stop = stopReason(options, standing.rounds, nextEndUs, () => precisionReached(standing.observations));
      if (stop !== null) return stop;
      const round = await measureRound(options, standing);
      roundUs = clock.nowUs() - from;
      if (isWarm) keep(round, options, standing); // the warm-up does not count
    }
  } catch (error) {
    if (!(error instanceof SweepInterrupted)) throw error;
    if (options.onInterrupted === undefined || standing.rounds < options.minRounds) throw error.reason;
    options.onInterrupted(error.reason);
    return "interrupted";
  }
}

interface Round {
  seen: Observation[];
  /** null: no line of query lengths is measured */
  line: QueryLineRound | null;
  /** null: there are none */
  heads: HeadsRound | null;
}

async function measureRound(options: SweepOptions, standing: Standing): Promise<Round> {
  const { contexts, queries, queryLine, heads = [], trees = false } = options;
  const measuresTrees = heads.length > 0 || trees;
  const { bench, rounds: round, deck } = standing;
  const tick = () => reportProgress(options, standing);
  const seen: Observation[] = [];
  const drafted: HeadsRound = { pairs: [], passes: [] };
  for (const context of bench.random.shuffle(contexts)) {
    const visit = { context, lengths: bench.random.shuffle(queries.filter((q) => q > 1)) };
    const at = { round, visit: standing.visits++ };
    const visited =
      deck === null ? visitContext(bench, visit, queries, at, tick) : visitPrograms(bench, deck, visit, at, tick);
    seen.push(...(await visited));
    if (!measuresTrees || !isTreeContext(contexts, context)) continue;
    const { pairs, passes } = await visitHeads(bench, heads, context, queries, round, tick);
    drafted.pairs.push(...pairs);
    drafted.passes.push(...passes);
  }
  const line = queryLine.length > 0 ? await visitQueryLine(bench, contexts[0], queryLine, tick) : null;
  return { seen, line, heads: measuresTrees ? drafted : null };
}

/** Trees are priced at both ends of the grid: what a mask costs beside the pass without grows steadily with n. */
const isTreeContext = (contexts: readonly number[], context: number): boolean =>
  context === contexts[0] || context === contexts[contexts.length - 1];

function keep({ seen, line, heads }: Round, { clock, recorder }: SweepOptions, standing: Standing): void {
  standing.observations.push(...seen);
  if (line !== null) standing.queryLines.push(line);
  standing.headsRounds.push(heads);
  recorder?.record(standing.rounds, seen, line, clock.nowUs() - standing.startUs, heads);
  standing.rounds += 1;
}

/** @throws SweepInterrupted */
async function reportProgress(options: SweepOptions, { rounds, startUs }: Standing): Promise<void> {
  const { clock, minRounds, maxRounds, budgetUs, progress = silentProgress } = options;
  const spent = (clock.nowUs() - startUs) / budgetUs;
  const share = Math.min(1, Math.max(rounds / maxRounds, Math.min(spent, rounds / minRounds)));
  try {
    await progress.tick({ stage: "profile", done: Math.floor(100 * share), total: 100 });
  } catch (reason) {
    throw new SweepInterrupted(reason);
  }
}

function warnOfBudget({ minRounds, budgetUs, progress }: SweepOptions, rounds: number, elapsedUs: number): void {
  if (elapsedUs <= 1.1 * budgetUs || rounds !== minRounds) return;
  const advice = "the profile is rougher than it could be; give it more time or a smaller grid (--context, --query)";
  const times = `${(elapsedUs / 1e6).toFixed(0)} s of ${(budgetUs / 1e6).toFixed(0)} s`;
  progress?.warn("PROFILE_BUDGET", `${minRounds} rounds took ${times}: ${advice}`);
}
