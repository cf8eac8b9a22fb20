// What a pass of heads takes, alone and behind a verification, and what it does to the verification before and behind it.
// Run after `npm run build`, on a machine that does nothing else:
//   node bench/heads-pass.mjs [MODEL=embedded] [HEADS=MODEL's own] [--context 100] [--nodes 16] [--repeats 200]
// Every form (LM head in int8, int4 or as the target's; on the model's threads, or on one) is timed by turns with the same
// verification. Medians and fastest, in µs, as JSON.
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { median } from "simple-statistics";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    context: { type: "string", default: "100" },
    nodes: { type: "string", default: "16" },
    repeats: { type: "string", default: "200" },
    threads: { type: "string", default: String(availableParallelism()) },
  },
});
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const library = (path) => import(pathToFileURL(resolve(ROOT, "dist", path)).href);
const { prefill } = await library("decode/loop.js");
const { headsBeside } = await library("model/heads/open.js");
const { systemClock } = await library("runtime/device.js");
const { openHeads } = await library("runtime/heads-engine.js");
const { loadModel } = await library("runtime/load.js");
const { targetChoices } = await library("schema/choice.js");

const [n, nodes, repeats, threads] = ["context", "nodes", "repeats", "threads"].map((name) => Number(values[name]));
const path = positionals[0] ?? "embedded";
const folder = positionals[1] ?? headsBeside(path);
if (folder === null) throw new Error(`no heads lie beside ${path}: name their folder`);
const model = await loadModel(path, { provider: "cpu", threads, capacity: n + nodes + 64 });
const choices = targetChoices(model.spec.layers);
const prompt = Array.from({ length: n }, (_, i) => (37 * i + 11) % Math.min(4000, model.spec.vocabSize));
await prefill(model.engine, prompt, choices);
const verification = { position: n, input: new Array(nodes + 1).fill(7), choices, logitRows: nodes + 1 };

const forms = [];
for (const lmHead of ["int8", "int4", "target"])
  for (const count of new Set([threads, 1])) {
    const heads = await openHeads(folder, model, { provider: "cpu", threads, passThreads: count, lmHead });
    forms.push({ name: `${lmHead}, ${count} thread${count === 1 ? "" : "s"}`, heads, times: {} });
  }

const timed = (work) => {
  const start = systemClock.nowUs();
  work();
  return systemClock.nowUs() - start;
};
let hidden;
const verify = () => {
  ({ hidden } = model.engine.run(verification));
};
/** every depth a pass, as many rows as a chain has; Medusa's are one */
const draft = ({ heads }) => {
  const state = hidden.subarray(0, model.spec.hiddenSize);
  if (heads.guessAll) return heads.guessAll(state);
  heads.states?.(0, state);
  for (let depth = 0; depth < heads.heads; depth++) heads.guess(state, depth, new Array(depth + 1).fill(7));
};
const alone = [];
for (let repeat = 0; repeat < repeats + 10; repeat++) {
  const counts = repeat >= 10; // the first ones warm up
  verify();
  const plain = timed(verify);
  if (counts) alone.push(plain);
  for (let i = 0; i < forms.length; i++) {
    const form = forms[(i + repeat) % forms.length];
    const put = (what, us) => {
      form.times[what] ??= [];
      if (counts) form.times[what].push(us);
    };
    verify();
    put(
      "heads_behind_verification",
      timed(() => draft(form)),
    );
    put("verification_behind_heads", timed(verify));
    for (let k = 0; k < 4; k++) draft(form);
    put(
      "heads_behind_heads",
      timed(() => draft(form)),
    );
  }
}
const figures = (times) => ({ median: Math.round(median(times)), fastest: Math.round(Math.min(...times)) });
const rows = forms.map(({ name, heads, times }) => {
  heads.close();
  return [name, Object.fromEntries(Object.entries(times).map(([what, us]) => [what, figures(us)]))];
});
model.close();
console.log(
  JSON.stringify(
    {
      model: path,
      context: n,
      nodes,
      verification_behind_verification: figures(alone),
      forms: Object.fromEntries(rows),
    },
    null,
    1,
  ),
);
