// `npm run check`: everything that must hold before a commit. Runs all of it even where something fails, then says what did.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);
const tool = (name, file) => join(dirname(require.resolve(`${name}/package.json`)), file);

const steps = [
  ["format and lint", tool("@biomejs/biome", "bin/biome"), ["check", "--error-on-warnings"]],
  ["types", tool("typescript", "bin/tsc"), ["-p", ".", "--noEmit"]],
  ["types of the tests", tool("typescript", "bin/tsc"), ["-p", "test"]],
  ["build", join(root, "scripts", "build.mjs"), []],
  // among them: import directions (test/imports.test.ts), committed documents (test/schema/committed.test.ts)
  ["tests", tool("vitest", "vitest.mjs"), ["run", "--project", "unit*"]],
];

const failed = steps.filter(([name, script, args]) => {
  console.log(`\n== ${name}`);
  return spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: "inherit" }).status !== 0;
});
console.log(
  failed.length === 0 ? "\ncheck: all is well" : `\ncheck: failed: ${failed.map(([name]) => name).join(", ")}`,
);
process.exit(failed.length === 0 ? 0 : 1);
