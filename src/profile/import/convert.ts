/**
 * Runs of an engine's own benchmark -> the table that `profile import` reads. A pass over a model of fewer layers tells what a
 * layer takes; how it is shared between attention and MLP no run tells, so the whole layer stands under attention, and the
 * table serves drafts of whole layers alone. Embedding, head and the engine's own time stand under `fixed`.
 */
import type { DraftplanError } from "../../core/errors.js";
import type { Benchmark } from "./benchmark.js";
import type { Run } from "./runs.js";
import { COLUMNS, tableInvalid } from "./table.js";

/** A run of a benchmark with what its file says. */
export interface MeasuredRun extends Run {
  measured: Benchmark;
}

/** How far what a file says may lie from what the list of runs says. */
const TOLERANCE = 0.1;

/** What one pass takes, by its depth. */
interface Place {
  batch: number;
  context: number;
  query: number;
  /** layers -> µs */
  us: Map<number, number>;
}

/**
 * @param file only names the list of runs in errors
 * @returns CSV
 * @throws CSV_INVALID with the line of the run
 */
export function convertRuns(runs: readonly MeasuredRun[], file: string): string {
  const places = [...grouped(runs, ({ batch, context, query }) => `${batch} ${context} ${query}`).values()]
    .map((own): Place => {
      const { batch, context, query } = own[0];
      const byDepth = [...grouped(own, ({ layers }) => `${layers}`).values()];
      return { batch, context, query, us: new Map(byDepth.map((same) => [same[0].layers, passUs(same, file)])) };
    })
    .sort((a, b) => a.batch - b.batch || a.context - b.context || a.query - b.query);
  const depth = Math.max(...runs.map(({ layers }) => layers));
  const rows = [...grouped(places, ({ batch }) => `${batch}`).values()].flatMap((own) => rowsOf(own, depth, file));
  return `${[COLUMNS.join(","), ...rows, "round,,,,0,,", "step,,,,0,,"].join("\n")}\n`;
}

function grouped<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}

const invalid = (file: string, { line }: Run, what: string, remedy: string): DraftplanError =>
  tableInvalid(file, line, what, remedy);

/** Of runs of one pass: one that says what it takes, or two generations of different lengths. */
function passUs(runs: readonly MeasuredRun[], file: string): number {
  const [first, second, third] = runs;
  for (const run of runs) requireAsListed(run, file);
  if (first.measured.kind === "pass") {
    if (second === undefined) return first.measured.us;
    throw invalid(file, second, `the same pass as on line ${first.line}`, "Leave one of the two out.");
  }
  const remedy = "vllm bench latency needs two runs that differ in --output-len alone, both listed.";
  if (second === undefined || third !== undefined || second.measured.kind !== "generation")
    throw invalid(file, third ?? first, `${runs.length} runs of one pass, where two generations are needed`, remedy);
  const [short, long] = [first, second].sort((a, b) => tokensOf(a) - tokensOf(b));
  const us = (long.measured.us - short.measured.us) / (tokensOf(long) - tokensOf(short));
  if (tokensOf(long) === tokensOf(short) || short.input !== long.input || !(us > 0))
    throw invalid(
      file,
      long,
      `it is not longer than the run on line ${short.line} by more output tokens alone`,
      remedy,
    );
  const context = (short.input ?? 0) + (tokensOf(short) + tokensOf(long) - 1) / 2;
  requireNear(long, "tokens of context in the mean", context, long.context, file);
  return us;
}

const tokensOf = ({ output }: Run): number => output ?? 0;

function requireAsListed(run: MeasuredRun, file: string): void {
  const { measured } = run;
  if (measured.kind === "generation") {
    if (run.input === null || run.output === null)
      throw invalid(file, run, `${run.file} does not say its lengths`, "Fill in input_tokens and output_tokens.");
    return;
  }
  requireNear(run, "sequences at once", measured.sequences, run.batch, file);
  requireNear(run, "tokens of context in the mean", measured.context, run.context, file);
}

function requireNear(run: Run, what: string, found: number, listed: number, file: string): void {
  if (Math.abs(found - listed) <= TOLERANCE * Math.max(1, listed)) return;
  const said = `${run.file} was run with ${Number(found.toPrecision(4))} ${what}, and ${listed} are listed`;
  throw invalid(file, run, said, "List it as it was run, or run it as it is listed.");
}

/** Parts where every place of the batch was run at two depths, else whole passes. */
function rowsOf(places: readonly Place[], depth: number, file: string): string[] {
  const [{ batch }] = places;
  const inParts = places.every(({ us }) => us.size === 2 && us.has(depth));
  if (!inParts && batch === 1)
    throw tableInvalid(
      file,
      null,
      `not every pass of one sequence was run with ${depth} layers and with fewer`,
      `Run each with two depths, for instance vllm bench … --load-format dummy --hf-overrides '{"num_hidden_layers": ${Math.max(1, depth >> 1)}}'.`,
    );
  return places.flatMap((place) => (inParts ? partRows(place, depth, file) : [wholeRow(place, depth, file)]));
}

const written = (us: number): string => String(Number(us.toFixed(3)));

function wholeRow({ batch, context, query, us }: Place, depth: number, file: string): string {
  const whole = us.get(depth);
  if (whole !== undefined) return `whole,,${context},${query},${written(whole)},,${batch}`;
  const what = `no run has ${depth} layers at batch ${batch}, ${context} tokens of context, ${query} in the pass`;
  throw tableInvalid(file, null, what, "Run the whole model there, or leave the place out.");
}

function partRows({ batch, context, query, us }: Place, depth: number, file: string): string[] {
  const fewer = [...us.keys()].find((layers) => layers !== depth) as number;
  const [whole, less] = [us.get(depth) as number, us.get(fewer) as number];
  const layer = (whole - less) / (depth - fewer);
  const fixed = whole - depth * layer;
  if (!(layer > 0 && fixed >= 0)) {
    const what = `at batch ${batch}, ${context} tokens of context, ${query} in the pass, ${depth} layers take ${written(whole)} µs and ${fewer} take ${written(less)}`;
    throw tableInvalid(file, null, `${what}: no line through a model without layers`, "Measure with more iterations.");
  }
  const at = `${context},${query}`;
  return [
    `fixed,,${at},${written(fixed)},,${batch}`,
    `head,target,${at},0,,${batch}`,
    `attn,target,${at},${written(layer)},,${batch}`,
    `mlp,target,${at},0,,${batch}`,
  ];
}
