// Compiles src to dist. Called by npm start, npm test and `npm ci` (prepare); what they compiled already is left as it is, as
// compiling takes ten seconds of a processor. --force compiles whatever there is.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, "dist");
const require = createRequire(import.meta.url);
let compiler;
try {
  compiler = join(dirname(require.resolve("typescript/package.json")), "bin", "tsc");
} catch {
  // `npm ci --omit=dev` has no compiler; an installed package ships dist.
  if (existsSync(join(dist, "cli.js"))) process.exit(0);
  console.error("build: typescript is not installed. Run: npm ci");
  process.exit(1);
}
const STAMP = join(dist, ".built");
const wanted = sourcesSha256();
if (!process.argv.includes("--force") && isBuilt()) process.exit(0);
rmSync(STAMP, { force: true });
const { status } = spawnSync(process.execPath, [compiler, "-p", root], { stdio: "inherit" });
if (status === 0) {
  removeLeftovers();
  chmodSync(join(dist, "cli.js"), 0o755);
  mkdirSync(dist, { recursive: true });
  writeFileSync(STAMP, wanted);
}
process.exit(status ?? 1);

/** Of everything that what is compiled follows from. */
function sourcesSha256() {
  const hash = createHash("sha256");
  const add = (name, path) => hash.update(`${name}\0`).update(readFileSync(path)).update("\0");
  add("compiler", require.resolve("typescript/package.json"));
  add("options", join(root, "tsconfig.json"));
  add("build", fileURLToPath(import.meta.url));
  const sources = readdirSync(join(root, "src"), { recursive: true }).filter((name) => name.endsWith(".ts"));
  for (const name of sources.sort()) add(name, join(root, "src", name));
  return hash.digest("hex");
}

/** Whether dist is what these sources give: every file is there, none was touched since, and none is left over. */
function isBuilt() {
  if (!existsSync(STAMP) || readFileSync(STAMP, "utf8") !== wanted) return false;
  const builtMs = statSync(STAMP).mtimeMs;
  const there = new Set(readdirSync(dist, { recursive: true }));
  for (const file of there) if (statSync(join(dist, file)).mtimeMs > builtMs) return false;
  const sources = readdirSync(join(root, "src"), { recursive: true }).filter((name) => name.endsWith(".ts"));
  const outputs = sources.flatMap((name) => [".js", ".js.map", ".d.ts"].map((end) => name.replace(/\.ts$/, end)));
  const compiled = [...there].filter((name) => /\.(js|js\.map|d\.ts)$/.test(name));
  return compiled.length === outputs.length && outputs.every((name) => there.has(name));
}

/** What was compiled from a source that is gone: it would be packed, and imports of it would still work. */
function removeLeftovers() {
  for (const file of readdirSync(dist, { recursive: true })) {
    const source = /^(.*?)(\.js|\.js\.map|\.d\.ts)$/.exec(file);
    if (source !== null && !existsSync(join(root, "src", `${source[1]}.ts`))) rmSync(join(dist, file));
  }
}
