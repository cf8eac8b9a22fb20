// Perplexity of every kernel on text that nothing was chosen by (bench/held-back), and how often its likeliest token is the
// target's. Perplexities depend on no load. Run after `npm run build`:
//   node bench/perplexity.mjs [MODEL=embedded] [--kernels int8,int4,int2] [--scales rounded|fitted] [--tokens 4000]
//       [--window 500] [--write windows.json]
// --write: the windows that are scored, for others to score: bench/perplexity-llama-cpp.mjs.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kernels: { type: "string", default: "int8,int4,int2" },
    scales: { type: "string", default: "rounded" },
    tokens: { type: "string", default: "4000" },
    window: { type: "string", default: "500" },
    write: { type: "string" },
    dist: { type: "string", default: "dist" },
  },
});
const part = (file) => import(pathToFileURL(resolve(values.dist, file)).href);
const { fitText } = await part("pipeline/text/fit-text.js");
const { loadModel } = await part("runtime/load.js");
const { qualityOf, scoreWindows } = await part("calibrate/quality.js");
const { silentProgress } = await part("core/progress.js");
const { uniformChoices } = await part("schema/choice.js");
const { openTokenizer } = await part("tokenizer/open.js");

const model = positionals[0] ?? "embedded";
const length = Number(values.window) + 1; // a window's first token is given
const wanted = Math.ceil(Number(values.tokens) / (length - 1));
const tokenizer = await openTokenizer(model);
const folder = new URL("held-back/", import.meta.url);
const texts = readdirSync(folder).filter((name) => name.endsWith(".txt"));
const cut = texts.map((name) => {
  const ids = tokenizer.encode(readFileSync(new URL(name, folder), "utf8"));
  return Array.from({ length: Math.floor(ids.length / length) }, (_, i) => ids.slice(i * length, (i + 1) * length));
});
// a window of every kind of text by turns, as far as each goes
const windows = [];
for (let i = 0; windows.length < wanted && cut.some((one) => i < one.length); i++)
  windows.push(...cut.flatMap((one) => (i < one.length ? [one[i]] : [])));
windows.length = Math.min(windows.length, wanted);
if (values.write !== undefined) writeFileSync(values.write, JSON.stringify(windows));

const kernels = ["target", ...values.kernels.split(",")];
const fitTo = fitText(model, { scales: values.scales === "fitted" ? "fitted" : undefined });
const { engine, close } = await loadModel(model, { provider: "cpu", threads: 2, kernels, capacity: length, fitTo });
let reference;
const rows = [];
for (const kernel of kernels) {
  const choices = uniformChoices(engine.spec.layers, kernel);
  const scored = await scoreWindows(engine, windows, silentProgress, choices);
  reference ??= scored;
  const { perplexity, perplexityRatio, agreement } = qualityOf(scored, reference);
  const row = { kernel, scales: values.scales, perplexity, perplexity_ratio: perplexityRatio, agreement };
  rows.push(row);
  console.error(JSON.stringify(row));
}
close();
console.log(JSON.stringify({ model, tokens: windows.length * (length - 1), windows: windows.length, rows }, null, 2));
