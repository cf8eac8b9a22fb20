/**
 * Packs what a bare Linux machine (x64, CUDA 13) needs to run run.mjs: Node, the built product with its production modules,
 * ONNX Runtime with its CUDA provider reduced to one architecture, the embedded model. Needs dist/ (npm run build), xz, tar,
 * and python3 with pip, which fetches the provider from PyPI's `onnxruntime-gpu`, unless --wheel gives it.
 *
 *     node scripts/gpu-check/build.mjs [-o gpu-check] [--wheel FILE] [--arch 90] [--model PATH] [--level 6]
 *
 * Writes parts of at most 50 MB, their digests, and `gpu-check`, which puts them together and runs them there. --arch: 90 is
 * the H100 and H200, 80 the A100, 120 Blackwell of workstations. --model: a GGUF or a folder that is packed and run as well.
 */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { keepArchitecture } from "./strip.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "..", "..");
const PART_BYTES = 50_000_000;
const FOREIGN = /(darwin|win32|arm64|armhf|ia32|riscv64|loong64|freebsd|openbsd|musl|linux_arm)/;
const ORT_VERSION = "1.31.1";
const { values: options } = parseArgs({
  options: {
    out: { type: "string", short: "o", default: "gpu-check" },
    wheel: { type: "string" },
    arch: { type: "string", default: "90" },
    model: { type: "string" },
    level: { type: "string", default: "6" },
  },
});

const out = resolve(options.out);
if (existsSync(out) && readdirSync(out).length > 0) fail(`${out} is not empty`);
if (!existsSync(join(ROOT, "dist", "cli.js"))) fail("there is no dist/: run npm run build first");
const work = mkdtempSync(join(tmpdir(), "gpu-check-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));
const stage = join(work, "stage");
mkdirSync(stage);

function fail(what) {
  console.error(`gpu-check: ${what}`);
  process.exit(2);
}

function stageNode() {
  mkdirSync(join(stage, "bin"));
  cpSync(process.execPath, join(stage, "bin", "node"), { dereference: true });
  execFileSync("strip", [join(stage, "bin", "node")], { stdio: "ignore" });
}

/** What `npm pack` would hold, the modules that it needs at run time, and nothing built for another system. */
function stageProduct() {
  for (const name of ["dist", "models", "assets", "package.json", "scripts/gpu-check"])
    cpSync(join(ROOT, name), join(stage, name), { recursive: true });
  const listed = execFileSync("npm", ["ls", "--omit=dev", "--all", "--parseable"], { cwd: ROOT, encoding: "utf8" });
  const modules = join(ROOT, "node_modules");
  for (const folder of listed.split("\n").filter((one) => one.includes("node_modules"))) {
    const name = folder.slice(folder.indexOf("node_modules") + "node_modules/".length);
    cpSync(join(modules, name), join(stage, "node_modules", name), {
      recursive: true,
      dereference: true,
      filter: isForHere,
    });
  }
}

/** Native builds lie in folders that name their system; of ONNX Runtime the CUDA build is packed and not the bundled one. */
function isForHere(path) {
  const inside = relative(join(ROOT, "node_modules"), path);
  if (/^onnxruntime-node\/bin\//.test(inside) || /^onnxruntime-web/.test(inside)) return false;
  return !(/^(koffi|@koromix)\//.test(inside) && FOREIGN.test(inside)) && !/\.(map|d\.ts)$/.test(inside);
}

function stageRuntime() {
  const wheel = options.wheel ?? downloadWheel();
  const unpacked = join(work, "wheel");
  execFileSync("python3", ["-m", "zipfile", "-e", wheel, unpacked]);
  const capi = join(unpacked, "onnxruntime", "capi");
  const folder = join(stage, "ort");
  mkdirSync(folder);
  const library = readdirSync(capi).find((name) => /^libonnxruntime\.so/.test(name));
  if (library === undefined) fail(`${wheel} holds no libonnxruntime.so`);
  cpSync(join(capi, library), join(folder, "libonnxruntime.so"));
  cpSync(join(capi, "libonnxruntime_providers_shared.so"), join(folder, "libonnxruntime_providers_shared.so"));
  const provider = readFileSync(join(capi, "libonnxruntime_providers_cuda.so"));
  const counts = keepArchitecture(provider, Number(options.arch));
  writeFileSync(join(folder, "libonnxruntime_providers_cuda.so"), provider);
  console.error(`device code of sm_${options.arch}: ${mb(counts.kept)} kept, ${mb(counts.dropped)} taken out`);
}

const mb = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

function downloadWheel() {
  const folder = join(work, "download");
  const platform = ["--only-binary=:all:", "--platform", "manylinux_2_28_x86_64", "--python-version", "3.12"];
  execFileSync(
    "python3",
    ["-m", "pip", "download", "--no-deps", ...platform, "-d", folder, `onnxruntime-gpu==${ORT_VERSION}`],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  return join(folder, readdirSync(folder)[0]);
}

/** tar | xz, cut into parts as it comes. */
async function pack() {
  const tar = spawn("tar", ["-C", stage, "--owner=0", "--group=0", "-cf", "-", "."], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const xz = spawn("xz", [`-${options.level}`, "-T0", "-c"], { stdio: [tar.stdout, "pipe", "inherit"] });
  const found = [];
  let part = null;
  const finish = () => {
    if (part === null) return;
    closeSync(part.descriptor);
    found.push({ name: part.name, bytes: part.bytes, sha256: part.hash.digest("hex") });
    part = null;
  };
  for await (const chunk of xz.stdout) {
    for (let rest = chunk; rest.length > 0; ) {
      if (part?.bytes === PART_BYTES) finish();
      if (part === null) {
        const name = `gpu-check.tar.xz.${String(found.length).padStart(2, "0")}`;
        part = { name, descriptor: openSync(join(out, name), "wx"), bytes: 0, hash: createHash("sha256") };
      }
      const taken = rest.subarray(0, PART_BYTES - part.bytes);
      writeSync(part.descriptor, taken);
      part.hash.update(taken);
      part.bytes += taken.length;
      rest = rest.subarray(taken.length);
    }
  }
  finish();
  if (found.length === 0) fail("packing failed");
  return found;
}

function writeStarter(parts) {
  writeFileSync(join(out, "SHA256SUMS"), parts.map(({ sha256, name }) => `${sha256}  ${name}\n`).join(""));
  const model = options.model === undefined ? "" : ` --model "$here/unpacked/model/${basename(options.model)}"`;
  writeFileSync(
    join(out, "gpu-check"),
    `#!/bin/sh
# usage: gpu-check [options of scripts/gpu-check/run.mjs]; needs tar, and xz or python3; writes beside itself
set -eu
here=$(cd "$(dirname "$0")" && pwd)
began=$(date +%s)
if [ ! -f "$here/unpacked/complete" ]; then
  (cd "$here" && sha256sum -c --quiet SHA256SUMS)
  rm -rf "$here/unpacked"; mkdir "$here/unpacked"
  if command -v xz >/dev/null; then cat "$here"/gpu-check.tar.xz.* | xz -dc -T0 | tar -C "$here/unpacked" -xf -
  else cat "$here"/gpu-check.tar.xz.* | python3 -c 'import lzma,shutil,sys; shutil.copyfileobj(lzma.open(sys.stdin.buffer), sys.stdout.buffer, 1 << 20)' | tar -C "$here/unpacked" -xf -; fi
  touch "$here/unpacked/complete"
fi
# PyTorch's copies of CUDA's libraries are taken where the system has none
torch=$(python3 -c 'import glob, os, torch; r = os.path.dirname(os.path.dirname(torch.__file__)); print(":".join(glob.glob(r + "/nvidia/*/lib") + [r + "/torch/lib"]))' 2>/dev/null || true)
[ -z "$torch" ] || export LD_LIBRARY_PATH="\${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$torch"
export DRAFTPLAN_ORT_LIBRARY="$here/unpacked/ort/libonnxruntime.so" DRAFTPLAN_CACHE_DIR="\${DRAFTPLAN_CACHE_DIR:-$here/cache}" CUDA_MODULE_LOADING=LAZY
seconds=$(( 475 - ( $(date +%s) - began ) ))
exec "$here/unpacked/bin/node" "$here/unpacked/scripts/gpu-check/run.mjs" --seconds "$seconds" --out "$here/out"${model} "$@"
`,
  );
  chmodSync(join(out, "gpu-check"), 0o755);
  for (const { name } of parts)
    if (statSync(join(out, name)).size > PART_BYTES) fail(`${name} is larger than ${PART_BYTES} bytes`);
}

stageNode();
stageProduct();
stageRuntime();
if (options.model !== undefined)
  cpSync(options.model, join(stage, "model", basename(options.model)), { recursive: true, dereference: true });
mkdirSync(out, { recursive: true });
const parts = await pack();
writeStarter(parts);
console.log(
  JSON.stringify({ out, parts: parts.map(({ name, bytes }) => ({ name, bytes })), architecture: Number(options.arch) }),
);
