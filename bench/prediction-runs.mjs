// How well does `run` predict? Run after `npm run build`, on a machine that does nothing else:
//   node bench/prediction-runs.mjs [MODEL=embedded] [--runs 20] [--prompts 15] [--max-tokens 64] [--pairs 2]
//       [--seed 1] [--out out/prediction-runs]
// Every run is a fresh `draftplan run` (profile, calibration, plan), followed by `draftplan verify` of its plan on prompts
// drawn anew, by the run's number, from bench/held-back: text of the six kinds that no plan was chosen on. Nothing is
// fitted afterwards: predicted and measured speedup are what the verification says. Plain decoding is timed before and after
// each run, which shows whether the machine stayed as it was; the verification says by how much plain decoding differs from what
// was profiled (machine_change_percent), which no speedup depends on. The error of a speedup is told in two: what the text
// accounts for (tokens of a round predicted against those decoded) and what the passes do (what a round costs in plain steps). One run takes about a minute and a half on the embedded
// model. Every run is added to runs.jsonl in --out; what is there already is not made again, so an interrupted bench goes on.
// Prints JSON with the median of |predicted / measured - 1| and of its signed value, each with a 95 % bootstrap interval over
// runs; progress goes to stderr, a line a run.
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { median, quantile } from "simple-statistics";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "20" },
    prompts: { type: "string", default: "15" },
    "max-tokens": { type: "string", default: "64" },
    pairs: { type: "string", default: "2" },
    seed: { type: "string", default: "1" },
    out: { type: "string", default: "out/prediction-runs" },
  },
});
const library = (path) => import(pathToFileURL(join(ROOT, "dist", path)).href);
const { seededRandom } = await library("stats/random.js");
const { decode } = await library("decode/loop.js");
const { loadModel } = await library("runtime/load.js");
const { systemClock } = await library("runtime/device.js");
const { readDocumentOf } = await library("schema/document.js");

const model = positionals[0] ?? "embedded";
const seed = Number(values.seed);
const KINDS = ["prose", "code", "chat", "table", "list", "language"];
/** characters of a prompt */
const [SHORTEST, LONGEST] = [150, 1500];
const PLAIN_TOKENS = 96;
const PLAIN_TIMES = 5;
const digits = (x) => Number(x.toPrecision(5));

// ------------------------------------------------------------------------------------------------- prompts
const documents = Object.fromEntries(
  KINDS.map((kind) => [kind, readFileSync(join(ROOT, "bench/held-back", `${kind}.txt`), "utf8").split(/\f\n?/)]),
);

/** Passages of every kind by turns; each begins behind a line or a word. Lengths are even on a logarithmic scale. */
function drawPrompts(run) {
  const random = seededRandom(seed, run);
  return Array.from({ length: Number(values.prompts) }, (_, i) => {
    const own = documents[KINDS[(i + run) % KINDS.length]];
    const text = own[random.index(own.length)];
    const length = Math.min(text.length, Math.round(SHORTEST * (LONGEST / SHORTEST) ** random.float()));
    const at = random.index(text.length - length + 1);
    const space = at === 0 ? -1 : text.slice(at).search(/\s/);
    return { prompt: text.slice(at + space + 1, at + length).trimEnd() };
  }).filter(({ prompt }) => prompt !== "");
}

// -------------------------------------------------------------------------------------------------- a run
/** Tokens per second of the target alone, the median of some decodings. */
async function plainSpeed() {
  const loaded = await loadModel(model, { provider: "cpu", threads: Math.min(2, cpus().length), capacity: 256 });
  try {
    const options = { maxTokens: PLAIN_TOKENS, endTokens: [], policy: null, clock: systemClock };
    const speeds = [];
    for (let i = 0; i <= PLAIN_TIMES; i++) {
      const { rounds, decodeUs } = await decode(loaded.engine, [0, 53, 219, 718, 1021, 77, 300, 12], options);
      if (i > 0) speeds.push((1e6 * rounds.length) / decodeUs); // the first warms up
    }
    return digits(median(speeds));
  } finally {
    loaded.close();
  }
}

function draftplan(args) {
  execFileSync(process.execPath, [join(ROOT, "dist/cli.js"), ...args], { stdio: ["ignore", "ignore", "pipe"] });
}

/**
 * How far tokens a round, and a round's cost in plain steps, were from what was predicted; null where no segment drafted.
 * Over the segments visited, each by its rounds: predicted / decoded tokens, and (1 + error) / that for the passes.
 */
function errorsApart({ by_context, predicted_speedup, speedup }, { segments }) {
  let [predicted, decoded] = [0, 0];
  for (const { context_tokens, rounds, accepted_length } of by_context) {
    const segment = segments.find((one) => one.context_tokens.from === context_tokens.from);
    const tokens = segment?.predicted?.accepted_length;
    if (tokens === undefined || accepted_length === null) continue;
    predicted += rounds * tokens;
    decoded += rounds * accepted_length;
  }
  if (decoded === 0 || predicted_speedup === null) return { text_error_percent: null, passes_error_percent: null };
  const text = predicted / decoded;
  return {
    text_error_percent: digits(100 * (text - 1)),
    passes_error_percent: digits(100 * (predicted_speedup / speedup.median / text - 1)),
  };
}

async function oneRun(run) {
  const folder = join(values.out, `run-${run}`);
  mkdirSync(folder, { recursive: true });
  const prompts = join(folder, "prompts.jsonl");
  writeFileSync(
    prompts,
    `${drawPrompts(run)
      .map((line) => JSON.stringify(line))
      .join("\n")}\n`,
  );
  const load = loadavg()[0];
  const plainBefore = await plainSpeed();
  const started = performance.now();
  draftplan(["run", model, "--out", folder]);
  const seconds = (performance.now() - started) / 1000;
  const [plan, output] = [join(folder, "plan.yaml"), join(folder, "held-back.yaml")];
  const sizes = ["--max-tokens", values["max-tokens"], "--pairs", values.pairs];
  draftplan(["verify", plan, "--model", model, "--prompts", prompts, ...sizes, "-o", output]);
  const plainAfter = await plainSpeed();
  const { document: v } = readDocumentOf("draftplan/verification", output);
  const { document: p } = readDocumentOf("draftplan/plan", plan);
  const { document: c } = readDocumentOf("draftplan/calibration", join(folder, "calibration.yaml"));
  const speculating = p.segments.filter(({ speculate }) => speculate);
  return {
    ...{ run, predicted: v.predicted_speedup, measured: v.speedup.median, low: v.speedup.low, high: v.speedup.high },
    ...{ lossless: v.lossless, acceptance: v.acceptance, tokens_per_second: v.tokens_per_second },
    predicted_error_percent: v.predicted_speedup_error === undefined ? null : digits(100 * v.predicted_speedup_error),
    machine_change_percent: v.machine_change_percent ?? null,
    ...errorsApart(v, p),
    by_context: v.by_context.map(({ context_tokens, target_tokens_per_second: target, ...at }) => ({
      ...{ context_tokens, rounds: at.rounds, accepted_length: at.accepted_length, target_tokens_per_second: target },
      ...{ measured: at.measured_tokens_per_second, predicted: at.predicted_tokens_per_second },
    })),
    segments: speculating.map(({ context_tokens, draft_tokens, predicted }) => ({
      ...{ context_tokens, draft_tokens, accepted_length: predicted?.accepted_length },
      ...{ draft_us: predicted?.draft_us, verify_us: predicted?.verify_us, step_us: predicted?.target_step_us },
    })),
    fewest_positions: Math.min(...c.contexts.map(({ positions }) => positions)),
    ...{ plain_before: plainBefore, plain_after: plainAfter, load_before: digits(load), run_seconds: digits(seconds) },
  };
}

// --------------------------------------------------------------------------------------------- statistics
function withInterval(errors, of) {
  const random = seededRandom(seed, 7);
  const draws = Array.from({ length: 4000 }, () => of(errors.map(() => errors[random.index(errors.length)])));
  return {
    percent: digits(100 * of(errors)),
    low: digits(100 * quantile(draws, 0.025)),
    high: digits(100 * quantile(draws, 0.975)),
  };
}

/** Medians of the errors' parts, and of the errors that predictions gave themselves. */
function parts(runs) {
  const of = (key) => runs.map((run) => run[key]).filter((value) => typeof value === "number");
  const middle = (key) => (of(key).length === 0 ? null : digits(median(of(key))));
  return {
    median_text_error_percent: middle("text_error_percent"),
    median_passes_error_percent: middle("passes_error_percent"),
    median_predicted_error_percent: middle("predicted_error_percent"),
    median_machine_change_percent: middle("machine_change_percent"),
  };
}

function evaluate(runs) {
  const comparable = runs.filter(({ predicted, measured }) => predicted !== null && measured !== null);
  if (comparable.length === 0) return { runs: 0 };
  const errors = comparable.map(({ predicted, measured }) => predicted / measured - 1);
  const drift = runs.map(({ plain_before, plain_after }) => Math.abs(plain_after / plain_before - 1));
  return {
    runs: comparable.length,
    speculating: comparable.filter(({ segments }) => segments.length > 0).length,
    lossless: runs.every(({ lossless }) => lossless),
    median_absolute_error: withInterval(errors, (list) => median(list.map(Math.abs))),
    median_signed_error: withInterval(errors, median),
    ...parts(comparable),
    // how far the machine itself was from what it had been a minute before
    median_change_of_plain_percent: digits(100 * median(drift)),
    median_run_seconds: digits(median(runs.map(({ run_seconds }) => run_seconds))),
    fewest_positions: Math.min(...runs.map(({ fewest_positions }) => fewest_positions)),
    each: comparable.map(({ run, predicted, measured, plain_before, plain_after }, i) => ({
      ...{ run, predicted, measured, error_percent: digits(100 * errors[i]), plain_before, plain_after },
      ...{
        text_error_percent: comparable[i].text_error_percent,
        predicted_error_percent: comparable[i].predicted_error_percent,
      },
    })),
  };
}

// ---------------------------------------------------------------------------------------------------- main
mkdirSync(values.out, { recursive: true });
const file = join(values.out, "runs.jsonl");
const readRuns = () =>
  !existsSync(file)
    ? []
    : readFileSync(file, "utf8")
        .split("\n")
        .flatMap((line) => {
          try {
            return [JSON.parse(line)];
          } catch {
            return []; // empty, or cut off where the bench was interrupted
          }
        });
const done = new Set(readRuns().map(({ run }) => run));
for (let run = 1; run <= Number(values.runs); run++) {
  if (done.has(run)) continue;
  const result = await oneRun(run);
  appendFileSync(file, `${JSON.stringify(result)}\n`);
  const { predicted, measured, plain_before, plain_after, run_seconds } = result;
  const error = predicted === null ? null : digits(100 * (predicted / measured - 1));
  console.error(
    JSON.stringify({ run, predicted, measured, error_percent: error, plain_before, plain_after, run_seconds }),
  );
}
console.log(JSON.stringify(evaluate(readRuns()), null, 2));
