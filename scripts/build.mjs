// Compiles src to dist. Called by npm start, npm test and `npm ci` (prepare).
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, rmSync } from "node:fs";
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
const { status } = spawnSync(process.execPath, [compiler, "-p", root], { stdio: "inherit" });
if (status === 0) {
  removeLeftovers();
  chmodSync(join(dist, "cli.js"), 0o755);
}
process.exit(status ?? 1);

/** What was compiled from a source that is gone: it would be packed, and imports of it would still work. */
function removeLeftovers() {
  for (const file of readdirSync(dist, { recursive: true })) {
    const source = /^(.*?)(\.js|\.js\.map|\.d\.ts)$/.exec(file);
    if (source !== null && !existsSync(join(root, "src", `${source[1]}.ts`))) rmSync(join(dist, file));
  }
}
