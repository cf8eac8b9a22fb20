// Does a pass cost in real drafting what it costs in a sweep? Run after `npm run build`, on a machine that does nothing else:
//   node bench/draft-steps.mjs [MODEL=embedded] [--kernel int8] [--draft-tokens 5] [--context 100] [--repeats 200]
//       [--profile FILE]
// A sweep mixes kernels from pass to pass, so a draft's weights may come from memory each time; drafting repeats one draft,
// whose weights may stay in a cache, and a verification then finds its own gone. Four patterns of the same passes are timed by
// turns: plain steps in a row, rounds as decoding has them, drafts in a row, and all three mixed. Given a profile, its
// predictions for the same context are printed beside them. Medians and fastest, in µs, as JSON; `over_mixed` is the
// median over repeats of each pattern's time to that of the mixed one in the same repeat: drift cancels in it.
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { mean, median } from "simple-statistics";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kernel: { type: "string", default: "int8" },
    "draft-tokens": { type: "string", default: "5" },
    context: { type: "string", default: "100" },
    repeats: { type: "string", default: "200" },
    profile: { type: "string" },
    threads: { type: "string", default: String(availableParallelism()) },
  },
});
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const library = (path) => import(pathToFileURL(resolve(ROOT, "dist", path)).href);
const { prefill } = await library("decode/loop.js");
const { systemClock } = await library("runtime/device.js");
const { loadModel } = await library("runtime/load.js");
const { targetChoices, uniformChoices } = await library("schema/choice.js");
const { readDocumentOf } = await library("schema/document.js");
const { openLatency } = await library("solve/index.js");

const [n, d, repeats] = [Number(values.context), Number(values["draft-tokens"]), Number(values.repeats)];
const digits = (x) => Number(x.toPrecision(5));
const loaded = await loadModel(positionals[0] ?? "embedded", {
  ...{ provider: "cpu", threads: Number(values.threads), capacity: n + 64 },
});
try {
  const { engine, spec } = loaded;
  const [target, draft] = [targetChoices(spec.layers), uniformChoices(spec.layers, values.kernel)];
  const prompt = Array.from({ length: n }, (_, i) => (37 * i + 11) % Math.min(4000, spec.vocabSize));
  await prefill(engine, prompt, target);
  const time = (choices, offset, q) => {
    const start = systemClock.nowUs();
    engine.run({ position: n + offset, input: new Array(q).fill(7), choices, logitRows: q });
    return systemClock.nowUs() - start;
  };
  /** [pattern][what] µs, one mean a repeat */
  const found = {};
  const put = (pattern, what, times) => {
    found[pattern] ??= {};
    found[pattern][what] ??= [];
    found[pattern][what].push(mean(times));
  };
  const times = (count, of) => Array.from({ length: count }, (_, i) => of(i));
  const patterns = [
    () => put("in_a_row", "step", times(d + 1, (i) => time(target, i, 1)).slice(1)),
    () => {
      const [drafts, verifications] = [[], []];
      for (let round = 0; round < 3; round++) {
        const own = times(d, (i) => time(draft, i, 1));
        const verification = time(target, 0, d + 1);
        if (round === 0) continue; // it comes after another pattern
        drafts.push(...own);
        verifications.push(verification);
      }
      put("rounds", "draft", drafts);
      put("rounds", "verification", verifications);
    },
    () => put("in_a_row", "draft", times(d + 1, (i) => time(draft, i, 1)).slice(1)),
    () => {
      const mixed = times(3, () => [time(draft, 0, 1), time(target, 0, 1), time(target, 0, d + 1)]);
      for (const [i, what] of ["draft", "step", "verification"].entries())
        put(
          "mixed",
          what,
          mixed.map((pass) => pass[i]),
        );
    },
  ];
  for (let repeat = -5; repeat < repeats; repeat++) {
    if (repeat === 0) for (const pattern of Object.keys(found)) delete found[pattern]; // warmed up
    for (let i = 0; i < patterns.length; i++) patterns[(i + repeat + 5) % patterns.length]();
  }
  const summary = Object.entries(found).flatMap(([pattern, parts]) =>
    Object.entries(parts).map(([what, us]) => ({
      ...{ pattern, pass: what, median_us: digits(median(us)), fastest_us: digits(Math.min(...us)) },
      over_mixed: digits(median(us.map((x, i) => x / found.mixed[what][i]))),
    })),
  );
  const latency =
    values.profile === undefined ? null : openLatency(readDocumentOf("draftplan/profile", values.profile).document);
  const profiled = latency && {
    ...{ step_us: digits(latency.stepUs(n)), draft_us: digits(latency.draftUs(draft, n)) },
    ...{ verification_us: digits(latency.verifyUs(n, d)), round_us: digits(latency.roundUs) },
  };
  const settings = { context_tokens: n, draft_tokens: d, kernel: values.kernel, repeats };
  console.log(JSON.stringify({ model: loaded.ref.name, ...settings, passes: summary, profiled }, null, 2));
} finally {
  loaded.close();
}
