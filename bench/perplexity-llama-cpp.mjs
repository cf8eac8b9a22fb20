// Perplexity of GGUF files in llama.cpp (node-llama-cpp, where it is installed) on the windows that bench/perplexity.mjs wrote:
//   node bench/perplexity.mjs MODEL.gguf --write windows.json
//   python bench/perplexity-files.py MODEL.gguf Q8_0 Q4_0 --out DIR
//   node bench/perplexity-llama-cpp.mjs windows.json DIR/*.gguf [--module FOLDER/node_modules/node-llama-cpp/dist/index.js]
import { readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { module: { type: "string" } } });
const [windowsFile, ...files] = positionals;
const windows = JSON.parse(readFileSync(windowsFile, "utf8"));
const at = values.module === undefined ? "node-llama-cpp" : pathToFileURL(resolve(values.module)).href;
const { getLlama } = await import(at);
const llama = await getLlama({ gpu: false, build: "never" });

const rows = [];
for (const file of files) {
  const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
  const context = await model.createContext({ contextSize: windows[0].length + 8, threads: 2 });
  const losses = [];
  const sequence = context.getSequence();
  for (const ids of windows) {
    await sequence.clearHistory();
    const scored = ids.slice(0, -1).map((id) => [id, { generateNext: { probabilities: true } }]);
    const results = await sequence.controlledEvaluate(scored);
    const sum = results.reduce((total, { next }, i) => total - Math.log(next.probabilities.get(ids[i + 1])), 0);
    losses.push(sum / scored.length);
  }
  const row = { file: basename(file), perplexity: Math.exp(losses.reduce((a, b) => a + b, 0) / losses.length), losses };
  rows.push(row);
  console.error(JSON.stringify({ file: row.file, perplexity: row.perplexity }));
  await context.dispose();
  await model.dispose();
}
console.log(JSON.stringify({ windows: windows.length, rows }, null, 2));
