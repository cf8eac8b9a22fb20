// How many tokens a second a model writes where texts are continued side by side, by how many there are, and one after
// another with an int8 draft: what `train-heads` gets its text by.
// Run after `npm run build`, on a machine that does nothing else:
//   node bench/side-by-side.mjs [MODEL=embedded] [--places 1,4,8,16] [--prompt 128] [--tokens 64] [--repeats 3]
// Forms are timed by turns; each writes the same prompts on by so many tokens. Prompts are made-up ids, so that no text ends
// early where the model has no such end. Tokens a second without the prompts' passes, which are timed apart. JSON.
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { median } from "simple-statistics";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    places: { type: "string", default: "1,4,8,16" },
    prompt: { type: "string", default: "128" },
    tokens: { type: "string", default: "64" },
    repeats: { type: "string", default: "3" },
    threads: { type: "string", default: String(availableParallelism()) },
  },
});
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const library = (path) => import(pathToFileURL(resolve(ROOT, "dist", path)).href);
const { decode, prefill } = await library("decode/loop.js");
const { systemClock } = await library("runtime/device.js");
const { loadModel } = await library("runtime/load.js");
const { openSideBySide } = await library("runtime/side-by-side/open.js");
const { targetChoices, uniformChoices } = await library("schema/choice.js");

const [length, tokens, repeats, threads] = ["prompt", "tokens", "repeats", "threads"].map((name) =>
  Number(values[name]),
);
const capacity = length + tokens + 8;
const model = await loadModel(positionals[0] ?? "embedded", { provider: "cpu", threads, capacity });
const { spec, modelPath, dialect, engine } = model;
const promptOf = (text) =>
  Array.from({ length }, (_, i) => (37 * i + 1013 * text + 11) % Math.min(4000, spec.vocabSize));

const forms = values.places.split(",").map((count) => {
  const places = Number(count);
  const texts = openSideBySide(modelPath, spec, { threads, dialect, capacity, places });
  const begin = () => {
    for (let place = 0; place < places; place++) texts.begin(place, promptOf(place));
  };
  const write = () => {
    for (let i = 0; i < tokens; i++) texts.step();
  };
  return { name: `${places} side by side`, places, begin, write, close: () => texts.close(), times: [[], []] };
});
const draft = { choices: uniformChoices(spec.layers, "int8"), draftTokens: 4 };
forms.push({
  name: "one with an int8 draft",
  places: 1,
  begin: () => prefill(engine, promptOf(0).slice(0, -1), targetChoices(spec.layers)),
  write: () =>
    decode(engine, promptOf(0), { maxTokens: tokens, endTokens: [], policy: () => draft, clock: systemClock }),
  readsPrompt: true, // decoding begins with the prompt, whose time is taken off again
  close: () => {},
  times: [[], []],
});

for (let repeat = 0; repeat <= repeats; repeat++)
  for (let i = 0; i < forms.length; i++) {
    const form = forms[(i + repeat) % forms.length];
    for (const [which, work] of [form.begin, form.write].entries()) {
      const start = systemClock.nowUs();
      await work();
      if (repeat > 0) form.times[which].push(systemClock.nowUs() - start); // the first turn warms up
    }
  }
const report = forms.map(({ name, places, readsPrompt = false, times: [begin, write] }) => ({
  form: name,
  tokens_per_second: Math.round((1e6 * places * tokens) / (median(write) - (readsPrompt ? median(begin) : 0))),
  prompt_tokens_per_second: Math.round((1e6 * places * length) / median(begin)),
}));
console.log(JSON.stringify({ model: spec.name, prompt: length, tokens, threads, repeats, report }, null, 2));
for (const { close } of forms) close();
model.close();
