// What kernels of few bits keep of the target's tokens, rounded and fitted (docs/few-bits.md). Run after `npm run build`:
//   node bench/few-bits.mjs [MODEL=embedded] [--kernels int8,int4,int2,oasis] [--scales rounded,fitted] [--tokens 2000]
// Every block and the head in one kernel, `evaluate` on bench/held-back, which nothing was fitted to. Acceptance does not depend
// on load; `load_seconds` does, and is that of a conversion only where the cache (DRAFTPLAN_CACHE_DIR) does not hold it yet.
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kernels: { type: "string", default: "int8,int4" },
    scales: { type: "string", default: "rounded,fitted" },
    tokens: { type: "string", default: "2000" },
    dist: { type: "string", default: "dist" },
  },
});
const part = (file) => import(pathToFileURL(resolve(values.dist, file)).href);
const { decidingText, fitText } = await part("pipeline/text/fit-text.js");
const { loadModel } = await part("runtime/load.js");
const { evaluateDraft } = await part("calibrate/evaluate.js");
const { isSimulated, uniformChoices } = await part("schema/choice.js");
const { openTokenizer } = await part("tokenizer/open.js");

const FIRST = 32;
const model = positionals[0] ?? "embedded";
const tokens = Number(values.tokens);
const folder = new URL("held-back/", import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith(".txt"));
const tokenizer = await openTokenizer(model);
const each = Math.ceil(tokens / files.length);
const ids = files.flatMap((name) => tokenizer.encode(readFileSync(new URL(name, folder), "utf8")).slice(0, each));

const rows = [];
for (const kernel of values.kernels.split(",")) {
  const ways = isSimulated(kernel) ? ["rounded"] : values.scales.split(",");
  for (const scales of ways) {
    const started = performance.now();
    const fitTo = fitText(model, { scales: scales === "fitted" ? "fitted" : undefined });
    const learnFrom = isSimulated(kernel) ? decidingText(model) : undefined;
    const options = {
      provider: "cpu",
      threads: 2,
      kernels: ["target", kernel],
      capacity: ids.length,
      fitTo,
      learnFrom,
    };
    const { engine, close } = await loadModel(model, options);
    const loadSeconds = (performance.now() - started) / 1000;
    const choices = uniformChoices(engine.spec.layers, kernel);
    const { positions, acceptance } = await evaluateDraft(engine, ids, FIRST, () => choices);
    close();
    const standardError = Math.sqrt((acceptance * (1 - acceptance)) / positions);
    rows.push({ kernel, scales, positions, acceptance, standard_error: standardError, load_seconds: loadSeconds });
    console.error(JSON.stringify(rows.at(-1)));
  }
}
console.log(JSON.stringify({ model, rows }, null, 2));
