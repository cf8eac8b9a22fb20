// Does resident memory stay flat? Decodes 20,000 tokens of the embedded model by every drafter in turn, then opens and closes
// 100 engines, and says how far resident memory at the end lies above where it had settled. Exit code 1 beyond 5 %.
//
//   npm run build && node --expose-gc bench/memory.mjs [--tokens 20000] [--engines 100]
import { parseArgs } from "node:util";
import { headsDrafter } from "../dist/decode/drafters/heads.js";
import { hybridDrafter } from "../dist/decode/drafters/hybrid.js";
import { lookupDrafter } from "../dist/decode/drafters/lookup.js";
import { modelDrafter } from "../dist/decode/drafters/model.js";
import { OwnCache } from "../dist/decode/drafters/own-cache.js";
import { selfDrafter } from "../dist/decode/drafters/self.js";
import { decode } from "../dist/decode/loop.js";
import { headsBeside } from "../dist/model/heads/open.js";
import { systemClock } from "../dist/runtime/device.js";
import { openHeads } from "../dist/runtime/heads-engine.js";
import { loadModel } from "../dist/runtime/load.js";
import { uniformChoices } from "../dist/schema/choice.js";
import { openTokenizer } from "../dist/tokenizer/open.js";

const { values } = parseArgs({
  options: { tokens: { type: "string", default: "20000" }, engines: { type: "string", default: "100" } },
});
const CPU = { provider: "cpu", threads: 1 };
const MOST_PERCENT = 5;
const MIB = 2 ** 20;

function residentMiB() {
  globalThis.gc?.();
  return process.memoryUsage().rss / MIB;
}

const median = (of) => [...of].sort((a, b) => a - b)[of.length >> 1];

/** Settled: the second fifth of the samples. Later: the last fifth. A leak grows by as much in every fifth. */
function verdict(what, samples) {
  const fifth = Math.max(1, Math.floor(samples.length / 5));
  const settled = median(samples.slice(fifth, 2 * fifth));
  const later = median(samples.slice(-fifth));
  const percent = 100 * (later / settled - 1);
  return { what, settled_mib: settled, later_mib: later, percent, flat: percent <= MOST_PERCENT, samples };
}

async function tokensRun() {
  const model = await loadModel("embedded", { ...CPU, capacity: 1024 });
  const draft = await loadModel("embedded", { ...CPU, capacity: 1024 });
  const heads = await openHeads(headsBeside("embedded"), model, { ...CPU, ranks: 4 });
  const tokenizer = await openTokenizer("embedded");
  const prompt = tokenizer.encode("My fellow citizens of the Senate");
  const int8 = selfDrafter(uniformChoices(model.spec.layers, "int8"));
  const cache = new OwnCache(draft.engine);
  const other = modelDrafter({ kind: "model", weightsSha256: "", cache, close() {} }, "int8");
  const lookup = () => lookupDrafter({ min: 2, max: 8 });
  const options = { minMatch: 3, lookupTokens: 8, otherwiseTokens: 4 };
  const tree = [[0], [1], [0, 0], [0, 1], [0, 0, 0]];
  const drafters = [int8, other, headsDrafter(heads, tree), lookup(), hybridDrafter(lookup(), int8, options)];
  const samples = [];
  for (let tokens = 0, turn = 0; tokens < Number(values.tokens); turn++) {
    const drafter = drafters[turn % drafters.length];
    const policy = Object.assign(() => ({ drafter, draftTokens: drafter.key.startsWith("heads") ? 3 : 6 }), {
      drafters: [drafter],
    });
    const decoded = await decode(model.engine, prompt, { maxTokens: 200, endTokens: [], clock: systemClock, policy });
    tokens += decoded.ids.length;
    samples.push(residentMiB());
  }
  heads.close();
  draft.close();
  model.close();
  return verdict(`${values.tokens} tokens`, samples);
}

async function enginesRun() {
  const samples = [];
  for (let i = 0; i < Number(values.engines); i++) {
    const model = await loadModel("embedded", { ...CPU, capacity: 256 });
    await decode(model.engine, [1, 2, 3], { maxTokens: 4, endTokens: [], clock: systemClock, policy: null });
    model.close();
    samples.push(residentMiB());
  }
  return verdict(`${values.engines} engines opened and closed`, samples);
}

const verdicts = [await tokensRun(), await enginesRun()];
for (const { what, settled_mib, later_mib, percent, flat } of verdicts)
  console.error(
    `${what}: ${settled_mib.toFixed(1)} MiB once settled, ${later_mib.toFixed(1)} MiB at the end (${percent.toFixed(1)} %): ${flat ? "flat" : "NOT FLAT"}`,
  );
console.log(JSON.stringify(verdicts));
process.exitCode = verdicts.every(({ flat }) => flat) ? 0 : 1;
