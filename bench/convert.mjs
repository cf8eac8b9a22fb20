/**
 * How long a checkpoint takes to become a converted model, and how much memory: one line of JSON for each set of kernels,
 * each in a process of its own. Needs dist/ (npm run build).
 *
 *     node bench/convert.mjs [--shape small|1b|8b | --config CONFIG.JSON | --model FOLDER] [--forms fp16,int8,int4,all]
 *                            [--threads N] [--shards N] [--folder DIR] [--made-up]
 *
 * The checkpoint is made up: bf16 in shards, written to DIR (default: the folder for temporary files) and removed at the
 * end. `--threads 0` makes whole matrices in one thread, as models below 128 MiB are; `--made-up` writes made-up weights,
 * as `profile config.json` does, and reads no checkpoint. Numbers of a form: fp16 is the target of --provider cuda, int8
 * and int4 are that and the kernel beside it. "cpu_seconds" is
 * what all threads took; "peak_mib" is the most memory that the process held (ru_maxrss).
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { configOf } from "../scripts/gpu-check/shapes.mjs";

const { values: options } = parseArgs({
  options: {
    shape: { type: "string", default: "1b" },
    config: { type: "string" },
    model: { type: "string" },
    forms: { type: "string", default: "fp16,int8,int4,all" },
    threads: { type: "string" },
    shards: { type: "string", default: "4" },
    folder: { type: "string", default: tmpdir() },
    "made-up": { type: "boolean", default: false },
    child: { type: "string" },
  },
});
const dist = (path) => import(new URL(`../dist/${path}`, import.meta.url));
const { openCheckpoint, openConfigOnly } = await dist("model/open.js");
const { expectedTensors } = await dist("model/formats/tensors.js");
const { weightParts } = await dist("model/graph/weights.js");
const { CUDA_DIALECT } = await dist("model/graph/dialect.js");
const { writeWeights } = await dist("model/weight-file.js");
const { syntheticWeights } = await dist("model/synthetic/weights.js");
const { madeRows } = await dist("model/synthetic/values.js");

const FORMS = { fp16: ["target"], int8: ["target", "int8"], int4: ["target", "int4"], all: ["target", "int8", "int4"] };

if (options.child === undefined) runAll();
else await convert(JSON.parse(options.child));

function runAll() {
  const folder = mkdtempSync(join(options.folder, "draftplan-convert-"));
  process.on("SIGINT", () => process.exit(130));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const model = options.model ?? join(folder, "model");
  if (options.model === undefined) {
    mkdirSync(model);
    writeModel(model);
  }
  for (const form of options.forms.split(",")) {
    const request = { model, form, folder, threads: options.threads, madeUp: options["made-up"] };
    const self = fileURLToPath(import.meta.url);
    const { status } = spawnSync(process.execPath, [self, "--child", JSON.stringify(request)], { stdio: "inherit" });
    if (status !== 0) process.exitCode = 1;
  }
}

/** A checkpoint as `save_pretrained` writes it: its numbers are slices of one run of random ones. */
function writeModel(folder) {
  const config =
    options.config === undefined
      ? { ...configOf(options.shape), torch_dtype: "bfloat16" }
      : JSON.parse(readFileSync(options.config, "utf8"));
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  if (options["made-up"]) return;
  const tensors = [...expectedTensors(openConfigOnly(join(folder, "config.json")))];
  const shards = Number(options.shards);
  const weightMap = {};
  const numbers = bf16Bytes(madeRows({ name: "bench", seed: 1 }, 0, 8192, 1024));
  const perShard = Math.ceil(tensors.length / shards);
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-${String(shard + 1).padStart(5, "0")}-of-${String(shards).padStart(5, "0")}.safetensors`;
    const own = tensors.slice(shard * perShard, (shard + 1) * perShard);
    let at = 0;
    const header = {};
    for (const [name, shape] of own) {
      const bytes = 2 * shape.reduce((product, n) => product * n, 1);
      header[name] = { dtype: "BF16", shape, data_offsets: [at, at + bytes] };
      at += bytes;
      weightMap[name] = file;
    }
    const json = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    const descriptor = openSync(join(folder, file), "w");
    writeSync(descriptor, Buffer.concat([length, json]));
    for (let left = at, turn = shard; left > 0; turn++) {
      const from = 2 * ((turn * 977) % 4096);
      left -= writeSync(descriptor, numbers, from, Math.min(left, numbers.length - from));
    }
    closeSync(descriptor);
  }
  const index = { metadata: {}, weight_map: weightMap };
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify(index));
}

function bf16Bytes(values) {
  const words = new Uint16Array(values.buffer);
  return Buffer.from(Uint16Array.from(values, (_, i) => words[2 * i + 1]).buffer);
}

async function convert({ model, form, folder, threads, madeUp }) {
  const since = (from) => Number(((performance.now() - from) / 1000).toFixed(2));
  const started = performance.now();
  const weights = madeUp ? syntheticWeights(openConfigOnly(join(model, "config.json"))) : await openCheckpoint(model);
  const digestSeconds = since(started);
  const from = performance.now();
  const cpu = process.cpuUsage();
  const path = join(folder, `${form}.bin`);
  const most = threads === undefined ? availableParallelism() : Number(threads);
  const parts = () => weightParts(weights, FORMS[form], CUDA_DIALECT);
  const origin = most === 0 ? undefined : weights.origin;
  await writeWeights(
    path,
    { parts, written: async () => {}, origin },
    { most: Math.max(1, most), leastBytes: most === 0 ? Infinity : 0 },
  );
  const seconds = since(from);
  const { user, system } = process.cpuUsage(cpu);
  const written = statSync(path).size;
  rmSync(path);
  let parameters = 0;
  for (const shape of expectedTensors(weights.spec).values())
    parameters += shape.reduce((product, n) => product * n, 1);
  console.log(
    JSON.stringify({
      ...{ form, made_up: madeUp, parameters, threads: most, digest_seconds: madeUp ? null : digestSeconds, seconds },
      cpu_seconds: Number(((user + system) / 1e6).toFixed(2)),
      ...{
        read_mb_per_second: madeUp ? null : Math.round((2 * parameters) / 1e6 / seconds),
        written_mb: Math.round(written / 1e6),
      },
      peak_mib: Math.round(process.resourceUsage().maxRSS / 1024),
    }),
  );
}
