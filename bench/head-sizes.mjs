// What a draft's head over a part of the vocabulary keeps, and what it takes, by size (docs/method.md, "Short heads"). Run after
// `npm run build`:
//   node bench/head-sizes.mjs MODEL [--kernel int8] [--sizes 4096,8192,16384,32768] [--prompts 24] [--context 128] [--time]
// Acceptance along the target's own greedy continuations of text kept back: of the target's blocks with each head (what the head
// alone loses) and of everything in the kernel. Counts do not depend on load. With --time also the draft step of everything in
// the kernel with each head, by turns: only on a quiet machine.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kernel: { type: "string", default: "int8" },
    sizes: { type: "string", default: "4096,8192,16384,32768" },
    prompts: { type: "string", default: "24" },
    context: { type: "string", default: "128" },
    threads: { type: "string", default: "2" },
    time: { type: "boolean", default: false },
    dist: { type: "string", default: "dist" },
  },
});
const part = (file) => import(pathToFileURL(resolve(values.dist, file)).href);
const { ContinuedPrompts } = await part("calibrate/continuation.js");
const { DraftEvidence, measureDrafts } = await part("calibrate/whole-drafts.js");
const { silentProgress } = await part("core/progress.js");
const { contextPrompts, readCalibrationText, textCodec } = await part("pipeline/text/calibration-text.js");
const { openRanked } = await part("pipeline/text/ranking.js");
const { systemClock } = await part("runtime/device.js");
const { argmax } = await part("runtime/engine.js");
const { loadModel } = await part("runtime/load.js");
const { shortened, targetChoices, uniformChoices } = await part("schema/choice.js");
const { openTokenizer } = await part("tokenizer/open.js");

const TOKENS = 64;
const ROUND = 16;
const [path = "embedded"] = positionals;
const { kernel } = values;
const context = Number(values.context);
const options = { provider: "cpu", threads: Number(values.threads), kernels: ["target", kernel] };
const model = await loadModel(path, { ...options, capacity: context + TOKENS + 64 });
const text = readCalibrationText(undefined);
const sizes = values.sizes.split(",").map(Number);
const shorts = sizes.filter((size) => size < model.spec.vocabSize).map((size) => shortened(kernel, size));
await openRanked(model, shorts, text, { ...options, progress: silentProgress });
const { layers, vocabSize } = model.spec;
const heads = [kernel, ...shorts];
const sets = heads.flatMap((head) => [
  { ...targetChoices(layers), head },
  { ...uniformChoices(layers, kernel), head },
]);
const [prompts] = contextPrompts(text, textCodec(await openTokenizer(path)), [context], Number(values.prompts));
const continued = new ContinuedPrompts(model.engine, systemClock, prompts.report, TOKENS, null);
const found = sets.map(() => new DraftEvidence());
for (let made = await continued.next(silentProgress); made !== null; made = await continued.next(silentProgress)) {
  const measured = await measureDrafts(model.engine, [made], sets, ROUND, silentProgress, true);
  found.forEach((evidence, i) => evidence.take(measured[i].evidence));
  console.error(`${found[0].positions.length} positions`);
}
const rows = heads.map((head, i) => {
  const [alone, whole] = [found[2 * i], found[2 * i + 1]].map((evidence) => evidence.curve(8));
  const tokens = ({ curve }) => curve.reduce((sum, a) => sum + a, 0);
  return { head, positions: alone.tokens, alone: alone.curve[1], whole: whole.curve[1], tokens_of_8: tokens(whole) };
});
if (values.time) {
  const times = heads.map(() => []);
  for (let round = 0; round < 60; round++)
    heads.forEach((_, i) => {
      const choices = sets[2 * i + 1];
      for (let step = 0; step < 4; step++) {
        const from = systemClock.nowUs();
        const { logits } = model.engine.run({ position: context + step, input: [step], choices, logitRows: 1 });
        argmax(logits, 0, vocabSize);
        if (round > 5 && step > 0) times[i].push(systemClock.nowUs() - from);
      }
    });
  times.forEach((us, i) => {
    us.sort((a, b) => a - b);
    rows[i].step_us = { median: Math.round(us[us.length >> 1]), least: Math.round(us[0]) };
  });
}
model.close();
console.log(JSON.stringify({ model: path, context, vocabulary: vocabSize, rows }, null, 2));
