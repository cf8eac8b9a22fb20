/**
 * How much of a prediction's error is the text's: tokens a round of the same drafts on the text that plans are confirmed on, at
 * several contexts, and on the bundled prompts that `run` and `verify` decode. Counts alone, no time is measured, so the
 * machine may be busy.
 *
 *     node bench/acceptance-by-text.mjs [MODEL] [--contexts 16,64,128,512] [--prompts 18] [--tokens 64]
 *
 * One JSON line for each text: tokens a round and their standard error over prompts, for a chain of the model's own heads and
 * for everything in int8.
 */
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    contexts: { type: "string", default: "16,64,128,512" },
    prompts: { type: "string", default: "18" },
    tokens: { type: "string", default: "64" },
    threads: { type: "string", default: "2" },
  },
});
const library = (path) => import(new URL(`../dist/${path}`, import.meta.url).href);
const { makePrompts } = await library("calibrate/windows.js");
const { silentProgress } = await library("core/progress.js");
const { headsDrafter } = await library("decode/drafters/heads.js");
const { decode } = await library("decode/loop.js");
const { parseMeasuredDrafters } = await library("pipeline/drafting/measured.js");
const { readCalibrationText, textCodec } = await library("pipeline/text/calibration-text.js");
const { bundledPrompts } = await library("pipeline/text/prompts.js");
const { systemClock } = await library("runtime/device.js");
const { openHeads } = await library("runtime/heads-engine.js");
const { loadModel } = await library("runtime/load.js");
const { uniformChoices } = await library("schema/choice.js");
const { openTokenizer } = await library("tokenizer/open.js");

const path = positionals[0] ?? "embedded";
const maxTokens = Number(values.tokens);
const options = { provider: "cpu", threads: Number(values.threads) };
const model = await loadModel(path, options, silentProgress);
const [folder] = parseMeasuredDrafters(undefined, path).heads;
const heads = folder === undefined ? null : await openHeads(folder, model, options, silentProgress);
const { engine } = model;
const chain = Array.from({ length: heads?.heads ?? 0 }, (_, i) => new Array(i + 1).fill(0));
const drafts = [
  ...(heads === null
    ? []
    : [{ name: "heads", draft: { drafter: headsDrafter(heads, chain), draftTokens: chain.length } }]),
  { name: "int8", draft: { choices: uniformChoices(model.spec.layers, "int8"), draftTokens: 4 } },
];

/** Of rounds of full length: tokens, and their standard error over prompts. */
function tokensOfRound(byPrompt) {
  const rounds = byPrompt.reduce((sum, one) => sum + one.rounds, 0);
  const mean = byPrompt.reduce((sum, one) => sum + one.tokens, 0) / rounds;
  const squares = byPrompt.reduce((sum, one) => sum + (one.tokens - mean * one.rounds) ** 2, 0);
  return { tokens: Number(mean.toFixed(3)), error: Number((Math.sqrt(squares) / rounds).toFixed(3)), rounds };
}

async function measure(text, prompts) {
  const found = {};
  for (const { name, draft } of drafts) {
    const byPrompt = [];
    for (const ids of prompts) {
      const policy = Object.assign(() => draft, { drafters: "drafter" in draft ? [draft.drafter] : [] });
      const asked = { maxTokens, endTokens: engine.spec.eosTokenIds, policy, clock: systemClock };
      const { rounds } = await decode(engine, ids, { ...asked, progress: silentProgress });
      const whole = rounds.filter(({ drafted }) => drafted === draft.draftTokens);
      byPrompt.push({ rounds: whole.length, tokens: whole.reduce((sum, { accepted }) => sum + accepted + 1, 0) });
    }
    found[name] = tokensOfRound(byPrompt);
  }
  const lengths = prompts.map((ids) => ids.length).sort((a, b) => a - b);
  console.log(JSON.stringify({ text, prompts: prompts.length, median_tokens: lengths[lengths.length >> 1], ...found }));
}

const tokenizer = await openTokenizer(path);
const bundled = await bundledPrompts(async () => tokenizer);
await measure(
  "bundled prompts",
  bundled.map(({ ids }) => ids),
);
const { choose, report } = readCalibrationText(undefined);
for (const [part, kinds] of Object.entries({ choose, report }))
  for (const context of values.contexts.split(",").map(Number)) {
    const windows = makePrompts(kinds, textCodec(tokenizer), context, Number(values.prompts));
    await measure(`${part}, ${context} tokens`, windows);
  }
heads?.close();
model.close();
