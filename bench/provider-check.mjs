/**
 * What a provider can do with draftplan's graph, step by step: one line of JSON each, as soon as it is known, so that a
 * step that fails, or ends the process, hides nothing of those before it. Needs dist/ (npm run build) and nothing else.
 *
 *     node bench/provider-check.mjs --provider cuda --ort-library /path/libonnxruntime.so [--model MODEL] [--threads N]
 *                                   [--steps 40] [--kernels target,int8,int4] [--variants host,plain] [--no-profile]
 *
 * `--provider cpu --as cuda` runs the graph of another provider on the CPU: for trying this script.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    provider: { type: "string", default: "cpu" },
    as: { type: "string" },
    "ort-library": { type: "string" },
    model: { type: "string", default: "embedded" },
    threads: { type: "string", default: "8" },
    steps: { type: "string", default: "40" },
    kernels: { type: "string", default: "target,int8,int4" },
    variants: { type: "string", default: "plain,host" },
    capacity: { type: "string", default: "1024" },
    "no-profile": { type: "boolean", default: false },
  },
});

const dist = (path) => import(new URL(`../dist/${path}`, import.meta.url));
const { loadModel } = await dist("runtime/load.js");
const { loadOrt } = await dist("runtime/ort-api.js");
const { describeDevice, systemClock } = await dist("runtime/device.js");
const { appendProvider, chooseProvider, dialectFor, libraryFacts } = await dist("runtime/providers.js");
const { localProbes } = await dist("runtime/probe.js");
const { convertModel } = await dist("model/convert.js");
const { openCheckpoint } = await dist("model/open.js");
const { silentProgress } = await dist("core/progress.js");
const { argmax } = await dist("runtime/engine.js");
const { decode } = await dist("decode/loop.js");
const { targetChoices, uniformChoices } = await dist("schema/choice.js");
const { TIE_MARGINS } = await dist("schema/verification.js");

const { provider, model: path } = options;
const ortLibrary = options["ort-library"];
const threads = Number(options.threads);
const capacity = Number(options.capacity);
const steps = Number(options.steps);
const kernels = options.kernels.split(",");
const dialect = dialectFor(options.as ?? provider);
const PROMPT = [0, 2819, 506, 268];
const BURST = 8;

/** Runs a step and prints what came of it. @returns what it gave; undefined where it failed */
async function step(name, work) {
  const from = performance.now();
  const seconds = () => Number(((performance.now() - from) / 1000).toFixed(2));
  try {
    const found = await work();
    console.log(JSON.stringify({ step: name, ok: true, seconds: seconds(), ...found?.print }));
    return found?.value;
  } catch (error) {
    const { code, at, what, message, stack } = error;
    const where = code === undefined ? stack?.split("\n").slice(1, 4) : undefined;
    console.log(JSON.stringify({ step: name, ok: false, seconds: seconds(), code, at, what: what ?? message, where }));
    return undefined;
  }
}

const round = (value, digits = 4) => Number(value.toPrecision(digits));
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const largest = (a, b) => {
  let most = 0;
  for (let i = 0; i < b.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    if (!(difference <= most)) most = difference; // what is no number too
  }
  return most;
};

await step("library", () => ({
  print: { ...libraryFacts(loadOrt(ortLibrary)), device: describeDevice(provider, threads, ortLibrary), dialect },
}));
if (options.as === undefined)
  await step("tiny model against the CPU", async () => ({ print: await localProbes(ortLibrary).provider(provider) }));

/** Where a session of the model has its inputs and operators, whether or not draftplan would take it. */
async function placement(form) {
  const api = loadOrt(ortLibrary);
  const chosen = chooseProvider(provider, libraryFacts(api));
  const checkpoint = await openCheckpoint(path);
  const { modelPath } = await convertModel(checkpoint, silentProgress, kernels, form);
  checkpoint.close();
  const env = api.create("CreateEnv", 3, "draftplan");
  const settings = api.create("CreateSessionOptions");
  api.check("SetSessionGraphOptimizationLevel", settings, 0);
  if (provider === "cpu") api.check("AddSessionConfigEntry", settings, "session.record_ep_graph_assignment_info", "1");
  appendProvider(api, settings, chosen);
  const session = api.create("CreateSession", env, Buffer.from(`${modelPath}\0`), settings);
  const operators = {};
  for (const { provider: runsOn, operator, name } of api.placement.assignments(session)) {
    const kind = name.startsWith("host/") ? `${operator} (on the host)` : operator;
    operators[runsOn] ??= {};
    operators[runsOn][kind] = (operators[runsOn][kind] ?? 0) + 1;
  }
  const inputs = {};
  for (const [name, memory] of api.placement.inputMemory(session)) {
    const kind = name.replace(/\d+\./, "N.");
    inputs[memory] ??= {};
    inputs[memory][kind] = (inputs[memory][kind] ?? 0) + 1;
  }
  api.release("ReleaseSession", session);
  api.release("ReleaseSessionOptions", settings);
  api.release("ReleaseEnv", env);
  return { print: { operators, inputs } };
}

/** Greedy tokens, one pass each, with the logits they came from. */
function greedy(engine, count) {
  const choices = targetChoices(engine.spec.layers);
  const ids = [];
  const rows = [];
  let { logits } = engine.run({ position: 0, input: PROMPT, choices, logitRows: 1 });
  for (;;) {
    const token = argmax(logits, 0, engine.spec.vocabSize);
    if (!Number.isFinite(logits[token])) throw new Error(`logits after ${ids.length} tokens are no finite numbers`);
    rows.push(logits.slice());
    ids.push(token);
    if (ids.length === count) return { ids, rows };
    ({ logits } = engine.run({ position: PROMPT.length + ids.length - 1, input: [token], choices, logitRows: 1 }));
  }
}

/** The first token where two outputs part, and how far apart the logits are until there. */
function compare(a, b) {
  const first = a.ids.findIndex((id, i) => id !== b.ids[i]);
  const count = first === -1 ? a.ids.length : first + 1;
  const differences = a.rows.slice(0, count).map((row, i) => largest(row, b.rows[i]));
  const margin = first === -1 ? 0 : b.rows[first][b.ids[first]] - b.rows[first][a.ids[first]];
  return {
    tokens_equal: first === -1,
    first_difference: first === -1 ? null : first,
    margin_there: round(margin),
    greatest_logit_difference: round(Math.max(...differences)),
    greatest_logit: round(Math.max(...a.rows.map((row, i) => row[a.ids[i]]))),
  };
}

/** Median of passes of q tokens at one place, after some that are not counted. */
function timed(engine, choices, q, position = 128) {
  const input = Array.from({ length: q }, (_, i) => (PROMPT[1] + i) % engine.spec.vocabSize);
  const times = [];
  for (let i = 0; i < steps + 5; i++) {
    const from = performance.now();
    engine.run({ position, input, choices, logitRows: q });
    if (i >= 5) times.push(1000 * (performance.now() - from));
  }
  return { median_us: Math.round(median(times)), least_us: Math.round(Math.min(...times)) };
}

const open = (name, form, more = {}) =>
  loadModel(path, { provider: name, threads, capacity, kernels, ortLibrary, dialect: form, ...more });

async function tryVariant(variant, reference, sameNumbers) {
  const form = { ...dialect, hostInputs: variant === "host" };
  const called = (name) => `${variant}: ${name}`;
  await step(called("placement"), () => placement(form));
  let loaded = await step(called("open"), async () => ({ value: await open(provider, form) }));
  loaded ??= await step(called("open, operators on the CPU allowed"), async () => ({
    value: await open(provider, form, { allowFallback: true }),
  }));
  if (loaded === undefined) return;
  const { engine, spec } = loaded;
  const target = targetChoices(spec.layers);
  const mine = await step(called("greedy tokens"), () => {
    const value = greedy(engine, 48);
    return { value, print: { ids: value.ids.slice(0, 12) } };
  });
  if (mine !== undefined) {
    if (reference) await step(called("against the CPU's fp32"), () => ({ print: compare(mine, reference) }));
    if (sameNumbers) await step(called("against this graph on the CPU"), () => ({ print: compare(mine, sameNumbers) }));
    await step(called("passes of 8 tokens against passes of 1"), () => {
      const ids = [...PROMPT, ...mine.ids];
      let most = 0;
      let otherMaximum = 0;
      for (let at = PROMPT.length; at + BURST <= ids.length; at += BURST) {
        const { logits } = engine.run({
          position: at,
          input: ids.slice(at, at + BURST),
          choices: target,
          logitRows: BURST,
        });
        for (let i = 0; i < BURST; i++) {
          const row = logits.subarray(i * spec.vocabSize, (i + 1) * spec.vocabSize);
          const single = mine.rows[at + i - PROMPT.length + 1];
          if (single === undefined) continue;
          most = Math.max(most, largest(row, single));
          if (argmax(row, 0, spec.vocabSize) !== argmax(single, 0, spec.vocabSize)) otherMaximum++;
        }
      }
      return {
        print: {
          greatest_logit_difference: round(most),
          other_maximum: otherMaximum,
          tie_margin: TIE_MARGINS[form.targetPrecision],
        },
      };
    });
    await step(called("plain decoding against drafts of 4"), async () => {
      const asked = { maxTokens: 64, endTokens: [], clock: systemClock };
      const plain = await decode(engine, PROMPT, { ...asked, policy: null });
      const draft = { choices: uniformChoices(spec.layers, kernels.at(-1)), draftTokens: 4 };
      const drafted = await decode(engine, PROMPT, { ...asked, policy: () => draft });
      const count = (key) => drafted.rounds.reduce((sum, r) => sum + r[key], 0);
      const first = drafted.ids.findIndex((id, i) => id !== plain.ids[i]);
      return {
        print: {
          kernel: kernels.at(-1),
          first_difference: first,
          drafted: count("drafted"),
          accepted: count("accepted"),
        },
      };
    });
  }
  await step(called("a pass that skips everything leaves the cache"), () => {
    engine.run({ position: 0, input: PROMPT, choices: target, logitRows: 0 });
    const read = () =>
      ["key", "value"].flatMap((part) => [...engine.readCache(spec.layers - 1, part, 0, PROMPT.length)]);
    const before = read();
    engine.run({ position: 0, input: PROMPT, choices: uniformChoices(spec.layers, "skip"), logitRows: 1 });
    return {
      print: { difference: largest(read(), before), finite: before.every(Number.isFinite), sample: before.slice(0, 3) },
    };
  });
  await step(called("step times"), () => {
    const print = {};
    for (const choice of [...kernels, "skip"]) print[choice] = timed(engine, uniformChoices(spec.layers, choice), 1);
    return { print };
  });
  await step(called("target passes of q tokens"), () => {
    const print = {};
    for (const q of [1, 2, 3, 4, 5, 6, 8, 12, 16]) print[q] = timed(engine, target, q);
    return { print };
  });
  await step(called("close"), () => loaded.close());
}

/** What the CPU makes of the same model, in fp32 and in this provider's graph. */
async function onCpu(form) {
  const { engine, close } = await open("cpu", form);
  try {
    return { value: greedy(engine, 48) };
  } finally {
    close();
  }
}
const reference = await step("CPU, fp32", () => onCpu(dialectFor("cpu")));
const sameNumbers = await step("CPU, this provider's graph", () => onCpu(dialect));
for (const variant of options.variants.split(",")) await tryVariant(variant, reference, sameNumbers);

if (!options["no-profile"] && options.as === undefined) {
  await step("profile of 10 s", () => {
    const cli = fileURLToPath(new URL("../dist/cli.js", import.meta.url));
    const library = ortLibrary === undefined ? [] : ["--ort-library", ortLibrary];
    const asked = ["--provider", provider, "--threads", String(threads), ...library, "--budget", "10s"];
    const grid = ["--context", "64,512", "--query", "1..9", "--choices", kernels.slice(1).join(",") || "skip"];
    const command = [cli, "profile", path, ...asked, ...grid, "-o", "-"];
    const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: "utf8", timeout: 180_000 });
    const tail = (text) => text.trim().split("\n").slice(-4);
    const lines = stdout
      .split("\n")
      .filter((line) => /^ +(fixed_us|head_us|attn_us|mlp_us|step_us|round_us)/.test(line));
    if (status !== 0) throw new Error(`exit code ${status}: ${tail(stderr).join(" | ")}`);
    return { print: { stderr: tail(stderr), lines: lines.slice(0, 12), numbers_finite: !/nan|inf/i.test(stdout) } };
  });
}
