// Steps and acceptance in 2 bits, by MatMulNBits' own kernel and by ONNX Runtime's lookup tables (`mlas.use_lut_gemm`), beside
// the target, int8 and int4. Run after `npm run build`, on a machine that does nothing else (two minutes for SmolLM2-135M):
//   node bench/two-bits.mjs [MODEL=embedded] [--context 200] [--rounds 40] [--positions 300]
// Two engines of one converted model, by turns. Tables take matrices whose rows are a multiple of 128 alone; the rest goes
// as without them. Acceptance, which depends on no load, is that of a draft of everything in int2 on bench/held-back/prose.txt.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    context: { type: "string", default: "200" },
    rounds: { type: "string", default: "40" },
    positions: { type: "string", default: "300" },
    dist: { type: "string", default: "dist" },
  },
});
const part = (file) => import(pathToFileURL(resolve(values.dist, file)).href);
const { loadModel } = await part("runtime/load.js");
const { evaluateDraft } = await part("calibrate/evaluate.js");
const { uniformChoices } = await part("schema/choice.js");
const { openTokenizer } = await part("tokenizer/open.js");

const FIRST = 32;
const model = positionals[0] ?? "embedded";
const [context, rounds, positions] = ["context", "rounds", "positions"].map((name) => Number(values[name]));
const text = readFileSync(new URL("held-back/prose.txt", import.meta.url), "utf8");
const ids = (await openTokenizer(model)).encode(text).slice(0, Math.max(context + 1, FIRST + positions));
const kernels = ["target", "int8", "int4", "int2"];
const options = { provider: "cpu", threads: 2, kernels, capacity: ids.length };
const engines = {
  own: await loadModel(model, options),
  tables: await loadModel(model, { ...options, sessionConfig: { "mlas.use_lut_gemm": "1" } }),
};
const arms = [
  ...kernels.map((kernel) => ({ name: kernel, kernel, engine: engines.own.engine })),
  { name: "int2 by tables", kernel: "int2", engine: engines.tables.engine },
].map((arm) => ({ ...arm, choices: uniformChoices(arm.engine.spec.layers, arm.kernel), ms: [] }));
const step = ({ engine, choices }) => engine.run({ position: context, input: [ids[context]], choices, logitRows: 1 });
for (const arm of arms) {
  for (let at = 0; at < context; at += 32)
    arm.engine.run({
      position: at,
      input: ids.slice(at, Math.min(at + 32, context)),
      choices: arm.choices,
      logitRows: 0,
    });
  for (let i = 0; i < 3; i++) step(arm);
}
for (let round = 0; round < rounds; round++) {
  for (const arm of arms) {
    const started = performance.now();
    step(arm);
    arm.ms.push(performance.now() - started);
  }
}
const acceptanceOf = async ({ engine }) => {
  const choices = uniformChoices(engine.spec.layers, "int2");
  return (await evaluateDraft(engine, ids.slice(0, FIRST + positions), FIRST, () => choices)).acceptance;
};
const rows = [];
for (const { name, ms } of arms) {
  const sorted = ms.toSorted((a, b) => a - b);
  const row = { name, fastest_ms: sorted[0], median_ms: sorted[Math.floor(sorted.length / 2)] };
  rows.push(row);
}
const acceptance = { own: await acceptanceOf(engines.own), tables: await acceptanceOf(engines.tables) };
for (const one of Object.values(engines)) one.close();
console.log(JSON.stringify({ model, context, rows, int2_acceptance: acceptance, positions }, null, 2));
