// What spans gain at long contexts, and where the time goes. Run after `npm run build`, on a machine that does nothing else:
//   node bench/long-contexts.mjs MODEL [--context 4000,8000] [--kernel int8] [--spans 256,512,1024] [--draft-tokens 5]
//       [--repeats 15] [--prompts 3] [--tokens 48] [--threads 2] [--unfolded]
// At each context: a plain step, verifications of 2 to d + 1 tokens, and draft steps without and with each span in every
// attention, by turns; then plain decoding and every draft by turns over real prompts cut from the calibration text. JSON:
// `steps` medians and fastest in ms, what memory allows beside them (weights and the keys and values that are read, over the
// bandwidth measured first); `decoding` tokens, acceptance, what part of a round is drafting and verifying, and the median over
// prompts of plain's time a token to the draft's. With --unfolded a second engine, which folds no query heads
// (runtime/pass/folding.ts), verifies by turns with the first.
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { median } from "simple-statistics";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    context: { type: "string", default: "4000,8000" },
    kernel: { type: "string", default: "int8" },
    spans: { type: "string", default: "256,512,1024" },
    "draft-tokens": { type: "string", default: "5" },
    repeats: { type: "string", default: "15" },
    prompts: { type: "string", default: "3" },
    tokens: { type: "string", default: "48" },
    threads: { type: "string", default: String(availableParallelism()) },
    unfolded: { type: "boolean", default: false },
  },
});
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const library = (path) => import(pathToFileURL(resolve(ROOT, "dist", path)).href);
const { decode, prefill } = await library("decode/loop.js");
const { acceptanceOf } = await library("decode/statistics.js");
const { weightBytes } = await library("model/graph/matrices.js");
const { systemClock } = await library("runtime/device.js");
const { loadModel } = await library("runtime/load.js");
const { readBandwidth } = await library("pipeline/profile/floor.js");
const { contextPrompts, readCalibrationText, textCodec } = await library("pipeline/text/calibration-text.js");
const { openTokenizer } = await library("tokenizer/open.js");
const { everywhere, targetChoices, tokensRead } = await library("schema/choice.js");

const numbers = (text) => text.split(",").map(Number);
const [contexts, spans] = [numbers(values.context), numbers(values.spans)];
const [d, repeats, tokens, threads] = ["draft-tokens", "repeats", "tokens", "threads"].map((key) =>
  Number(values[key]),
);
const digits = (x) => Number(x.toPrecision(4));
const path = positionals[0] ?? "embedded";
const bytesPerSecond = readBandwidth({ provider: "cpu", threads });
const options = { provider: "cpu", threads, capacity: Math.max(...contexts) + tokens + 64 };
const model = await loadModel(path, options);
const unfolded = values.unfolded ? await loadModel(path, { ...options, foldFrom: Number.POSITIVE_INFINITY }) : null;
try {
  const { engine, spec } = model;
  const { layers } = spec;
  const kernel = values.kernel;
  const drafts = Object.fromEntries([
    [kernel, everywhere(layers, kernel)],
    ...spans.map((span) => [`${kernel}@${span}`, everywhere(layers, `${kernel}@${span}`)]),
  ]);
  const target = targetChoices(layers);
  const bytes = weightBytes(spec, engine.kernels, engine.numerics);
  const kvBytes = 2 * 4 * spec.kvHeads * spec.headDim;
  /** ms that memory allows a step */
  const floorMs = (name, n) => {
    const [of, span] = name.split("@");
    const role = of === "target" ? "target" : of;
    const weights = layers * (bytes.attn[role] + bytes.mlp[role]) + bytes.head[role];
    return (
      (1e3 * (weights + layers * kvBytes * tokensRead(span === undefined ? null : Number(span), n))) / bytesPerSecond
    );
  };
  const codec = textCodec(await openTokenizer(path));
  const perContext = contextPrompts(readCalibrationText(undefined), codec, contexts, Number(values.prompts));
  for (const { atContext: n, choose } of perContext) {
    const found = {};
    const put = (name, us) => {
      found[name] ??= [];
      found[name].push(us / 1e3);
    };
    await prefill(engine, choose[0], target);
    if (unfolded !== null) await prefill(unfolded.engine, choose[0], target);
    const at = choose[0].length;
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (let q = 1; q <= d + 1; q++) {
        const from = systemClock.nowUs();
        engine.run({ position: at, input: new Array(q).fill(7), choices: target, logitRows: q });
        put(`target, ${q} tokens`, systemClock.nowUs() - from);
        if (unfolded === null || q === 1) continue;
        const again = systemClock.nowUs();
        unfolded.engine.run({ position: at, input: new Array(q).fill(7), choices: target, logitRows: q });
        put(`target, ${q} tokens unfolded`, systemClock.nowUs() - again);
      }
      for (const [name, choices] of Object.entries(drafts)) {
        const from = systemClock.nowUs();
        for (let i = 0; i < d; i++) engine.run({ position: at + i, input: [7], choices, logitRows: 1, round: at });
        put(name, (systemClock.nowUs() - from) / d);
      }
    }
    const steps = Object.fromEntries(
      Object.entries(found).map(([name, ms]) => {
        const floor = digits(floorMs(name.split(",")[0], at));
        return [name, { median_ms: digits(median(ms)), fastest_ms: digits(Math.min(...ms)), floor_ms: floor }];
      }),
    );
    const ways = { plain: null, ...drafts };
    const runs = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
    for (const [i, prompt] of choose.entries()) {
      const names = Object.keys(ways);
      for (const name of i % 2 === 0 ? names : names.reverse()) {
        const choices = ways[name];
        const policy = choices === null ? null : () => ({ choices, draftTokens: d });
        runs[name].push(
          await decode(engine, prompt, { maxTokens: tokens, endTokens: spec.eosTokenIds, policy, clock: systemClock }),
        );
      }
    }
    const perToken = ({ decodeUs, ids }) => decodeUs / ids.length;
    const decoding = Object.fromEntries(
      Object.entries(runs).map(([name, made]) => {
        const rounds = made.flatMap((one) => one.rounds);
        const sum = (key) => rounds.reduce((total, round) => total + round[key], 0);
        return [
          name,
          {
            ms_per_token: digits(median(made.map(perToken)) / 1e3),
            times_plain: digits(median(made.map((one, i) => perToken(runs.plain[i]) / perToken(one)))),
            acceptance: acceptanceOf(rounds).acceptance,
            tokens_per_round: digits(sum("emitted") / rounds.length),
            drafting: digits(sum("draftUs") / sum("totalUs")),
            verifying: digits(sum("verifyUs") / sum("totalUs")),
            same_as_plain: made.every((one, i) => one.ids.join() === runs.plain[i].ids.join()),
          },
        ];
      }),
    );
    console.log(
      JSON.stringify(
        { context: n, draft_tokens: d, threads, bytes_per_second: digits(bytesPerSecond), steps, decoding },
        null,
        1,
      ),
    );
  }
} finally {
  unfolded?.close();
  model.close();
}
