/**
 * Drafts that stop early, by counting alone: nothing is timed, so a busy machine does not matter.
 *
 *     node bench/early-stop.mjs MODEL [--context 200] [--prompts 12] [--tokens 48] [--row 0.05]
 *
 * For drafts of the model's own blocks (all int8, and without some blocks): how well the probability of the likeliest token,
 * and its share in the two likeliest, tell hits from misses; and, with costs given as shares of a plain step, the best fixed
 * length and the best rule by the first half of the prompts, both decoded over the second half: tokens a round, tokens
 * drafted a round, and tokens a step's time by those costs.
 */
import { readdirSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { curveOfRounds } from "../dist/calibrate/acceptance-curve.js";
import { ConfidenceCounts } from "../dist/calibrate/confidence.js";
import { selfDrafter } from "../dist/decode/drafters/self.js";
import { stoppingDrafter } from "../dist/decode/drafters/stopping.js";
import { decode, prefill } from "../dist/decode/loop.js";
import { systemClock } from "../dist/runtime/device.js";
import { loadModel } from "../dist/runtime/load.js";
import { targetChoices, uniformChoices } from "../dist/schema/choice.js";
import { bestRule } from "../dist/solve/early/best-rule.js";
import { guessesOf, scaleOf } from "../dist/solve/early/scale.js";
import { expectedTokens } from "../dist/solve/objective.js";
import { confidenceOfLogits } from "../dist/stats/confidence.js";
import { openTokenizer } from "../dist/tokenizer/open.js";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    context: { type: "string", default: "200" },
    prompts: { type: "string", default: "12" },
    tokens: { type: "string", default: "48" },
    /** µs of a plain step are 1: of one more row in a verification */
    row: { type: "string", default: "0.05" },
  },
});
const [source = "embedded"] = positionals;
const [contextTokens, count, tokens, row] = [values.context, values.prompts, values.tokens, values.row].map(Number);
const LONGEST = 8;
const folder = new URL("../assets/calibration/", import.meta.url);

const model = await loadModel(source, { provider: "cpu", threads: 1, capacity: contextTokens + tokens + LONGEST + 2 });
const { engine } = model;
const { layers, vocabSize, eosTokenIds } = engine.spec;
const tokenizer = await openTokenizer(source);
const texts = readdirSync(folder).filter((name) => name.endsWith(".txt"));
const prompts = Array.from({ length: count }, (_, i) => {
  const text = readFileSync(new URL(texts[i % texts.length], folder), "utf8");
  // later texts are short, and each is cut elsewhere every time it comes round
  const last = Math.max(1, text.length - 8 * contextTokens);
  const from = (2000 * (1 + Math.floor(i / texts.length))) % last;
  return tokenizer.encode(text.slice(from, from + 8 * contextTokens)).slice(0, contextTokens);
});

/** int8, without so many blocks spread over the model's middle */
function without(blocks) {
  const whole = uniformChoices(layers, "int8");
  const skipped = new Set(
    Array.from({ length: blocks }, (_, i) => 2 * Math.round(((i + 1) * layers) / (blocks + 1)) - 1),
  );
  return { ...whole, blocks: whole.blocks.map((choice, b) => (skipped.has(b) ? "skip" : choice)) };
}

const run = (prompt, policy) =>
  decode(engine, prompt, { clock: systemClock, policy, maxTokens: tokens + 1, endTokens: eosTokenIds });

/** Hits, and confidence by both measures, at every position that the draft has to guess. */
async function observe(prompt, ids, choices) {
  await prefill(engine, [...prompt, ...ids.slice(0, -1)], targetChoices(layers));
  const found = [];
  const rounds = Array.from({ length: Math.ceil((ids.length - 1) / 4) }, (_, i) => 4 * i).reverse();
  for (const from of rounds) {
    const input = ids.slice(from, Math.min(from + 4, ids.length - 1));
    const { logits } = engine.run({ position: prompt.length + from, input, choices, logitRows: input.length });
    for (let r = 0; r < input.length; r++) {
      const own = logits.subarray(r * vocabSize, (r + 1) * vocabSize);
      let likeliest = 0;
      for (let i = 1; i < vocabSize; i++) if (own[i] > own[likeliest]) likeliest = i;
      let total = 0;
      for (let i = 0; i < vocabSize; i++) total += Math.exp(own[i] - own[likeliest]);
      found[from + r] = {
        hit: likeliest === ids[from + r + 1],
        likeliest: 1 / total,
        ofTwo: confidenceOfLogits(own, 0, vocabSize),
      };
    }
  }
  return found;
}

/** Chance that a hit is surer than a miss; null where one of them never came. */
function area(observed, key) {
  const [hits, misses] = [true, false].map((hit) => observed.filter((one) => one.hit === hit).map((one) => one[key]));
  if (hits.length === 0 || misses.length === 0) return null;
  let above = 0;
  for (const a of hits) for (const b of misses) above += a > b ? 1 : a === b ? 0.5 : 0;
  return above / (hits.length * misses.length);
}

/** What decoding with a policy came to, at these costs in plain steps. */
async function counted(policy, { tokenUs, verifyUs }) {
  const rounds = [];
  for (const prompt of prompts.slice(count >> 1)) rounds.push(...(await run(prompt, policy)).rounds);
  const emitted = rounds.reduce((sum, round) => sum + round.emitted, 0);
  const drafted = rounds.reduce((sum, round) => sum + round.nodes, 0);
  const steps = rounds.reduce((sum, round) => sum + round.nodes * tokenUs + verifyUs(round.nodes), 0);
  return {
    rounds: rounds.length,
    tokens_a_round: emitted / rounds.length,
    mean_draft_tokens: drafted / rounds.length,
    tokens_a_step: emitted / steps,
  };
}

const written = [];
for (const prompt of prompts) written.push((await run(prompt, null)).ids);
const results = [];
for (const blocks of [0, 3, 6]) {
  const choices = without(blocks);
  const observed = [];
  for (const [i, prompt] of prompts.entries()) observed.push(await observe(prompt, written[i], choices));
  const all = observed.flat();
  const chosen = observed.slice(0, count >> 1);
  const counts = new ConfidenceCounts();
  for (const one of chosen.flat()) counts.add(one.ofTwo, one.hit ? 1 : 0);
  const table = counts.table();
  const curve = curveOfRounds(
    chosen.map((text) => text.map(({ hit }) => hit)),
    LONGEST,
    8,
  );
  const scale = scaleOf(table);
  const results_by_step = [];
  for (const step of [0.2, 0.4, 0.6]) {
    const costs = { tokenUs: step, verifyUs: (d) => 1 + row * d, roundUs: 0 };
    const speed = (d) => expectedTokens(curve.slice(0, d + 1)) / (d * step + 1 + row * d);
    const lengths = Array.from({ length: LONGEST }, (_, i) => i + 1);
    const fixed = lengths.reduce((best, d) => (speed(d) > speed(best) ? d : best));
    const values = scale.map(({ acceptance }) => acceptance);
    const best = bestRule(values, guessesOf(scale, table, curve, LONGEST), costs, LONGEST);
    const stop = { confidence: scale, go_on_from: best.rule.goOnFrom };
    const drafter = selfDrafter(choices);
    results_by_step.push({
      draft_step: step,
      fixed: {
        draft_tokens: fixed,
        predicted: speed(fixed),
        ...(await counted(() => ({ drafter, draftTokens: fixed }), costs)),
      },
      early: {
        draft_tokens: best.rule.most,
        go_on_from: best.rule.goOnFrom,
        predicted: best.tokensPerSecond / 1e6,
        ...(await counted(() => ({ drafter: stoppingDrafter(drafter, stop), draftTokens: best.rule.most }), costs)),
      },
    });
  }
  results.push({
    skipped_blocks: blocks,
    positions: all.length,
    hits: all.filter(({ hit }) => hit).length / all.length,
    area_likeliest: area(all, "likeliest"),
    area_of_two: area(all, "ofTwo"),
    table,
    by_step: results_by_step,
  });
}
model.close();
console.log(JSON.stringify({ model: engine.spec.name, contextTokens, prompts: count, tokens, row, results }, null, 2));
