// How much of a `run`'s measuring is reading prompts again, and what is left of it where the engine remembers them.
// Run after `npm run build`; it counts tokens of passes and processor time, so the machine may be busy:
//   node bench/run-passes.mjs [--profile FILE] [--contexts 128,512,1536] [--threads 2]
// Goes through what `run` does between profile and plan on the embedded model (losses, candidates, reports; a profile is given),
// with an engine that remembers prompts and with one that does not. A JSON line for each: tokens that passes of 32 rows or more
// were asked for and that they ran, shorter passes, and processor seconds. Measuring is limited by the clock, so on a busy
// machine both measure less.
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    profile: { type: "string", default: "profiles/union-10m.profile.yaml" },
    contexts: { type: "string", default: "128,512,1536" },
    threads: { type: "string", default: "2" },
  },
});
const library = (path) => import(new URL(`../dist/${path}`, import.meta.url).href);
const { silentProgress } = await library("core/progress.js");
const { calibrateLoaded } = await library("pipeline/calibrate.js");
const { measureCandidates } = await library("pipeline/measuring/candidates.js");
const { precisionFor } = await library("pipeline/measuring/measuring.js");
const { readCalibrationText, SAMPLE } = await library("pipeline/text/calibration-text.js");
const { measuringText } = await library("pipeline/text/measuring-text.js");
const { loadModel } = await library("runtime/load.js");
const { rememberingPrompts } = await library("runtime/remembering.js");
const { readDocumentOf } = await library("schema/document.js");

const { document: profile } = readDocumentOf("draftplan/profile", values.profile);
const contexts = values.contexts.split(",").map(Number);
const LONG = 32;

/** The engine, and what its passes sum up to. */
function counted(engine) {
  const count = { long: 0, short_passes: 0 };
  const run = (pass) => {
    const tokens = "hidden" in pass.input ? 0 : pass.input.length;
    if (tokens >= LONG) count.long += tokens;
    else count.short_passes++;
    return engine.run(pass);
  };
  return { engine: Object.create(engine, { run: { value: run } }), count };
}

for (const remembers of [true, false]) {
  const model = await loadModel("embedded", { provider: "cpu", threads: Number(values.threads) }, silentProgress);
  const inner = counted(model.engine);
  const outer = counted(remembers ? rememberingPrompts(inner.engine, 2 ** 30) : inner.engine);
  const own = { ...model, engine: outer.engine };
  const start = process.cpuUsage();
  const context = { progress: silentProgress, note: () => {}, provider: "cpu", threads: Number(values.threads) };
  const made = await calibrateLoaded(own, readCalibrationText(undefined), contexts, context);
  const measuring = {
    ...{ model: own, profile, precision: precisionFor(model.spec), progress: silentProgress },
    variants: [["skip"], ["int8", "skip"]],
    text: measuringText(made.texts, made.prompts, SAMPLE.continuationTokens),
  };
  const { measured } = await measureCandidates(measuring, made.calibration);
  const { user, system } = process.cpuUsage(start);
  const said = { remembers, drafts: measured.length, positions: made.calibration.contexts.map((one) => one.positions) };
  const tokens = { asked: outer.count.long, ran: inner.count.long };
  console.log(
    JSON.stringify({
      ...said,
      long_tokens: tokens,
      short_passes: inner.count.short_passes,
      cpu_seconds: Math.round((user + system) / 1e5) / 10,
    }),
  );
  model.close();
}
