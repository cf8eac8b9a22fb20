/**
 * The distribution of drawn texts with every drafter, every filter by itself and together, at two temperatures: 200,000
 * texts each against exact enumeration, by the test that test:long runs with 20,000.
 *
 *     node bench/sampling.mjs [DRAWS=200000] [--drafter NAME]
 *
 * NAME is one of none, self, standalone, lookup, model, heads, hybrid: one after another they can be run in parts. Prints JSON: how many of the distributions were as they should be, of how many. By chance one of all together fails once
 * in a thousand runs; seeds are fixed, so the same commit gives the same answer.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { drafter: { type: "string" } } });
const draws = Number(positionals[0] ?? 200_000);
if (!(Number.isInteger(draws) && draws >= 1000)) throw new Error("give a whole number of draws from 1000");
const { stdout, status } = spawnSync(
  "npx",
  [
    ...["vitest", "run", "--project", "long", "--reporter", "json", "test/decode/accept/distribution.long.test.ts"],
    // a drafter's word, and filters as JSON
    ...["--testNamePattern", `^${values.drafter ?? "\\w+"} \\{`],
  ],
  {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    env: { ...process.env, DRAFTPLAN_LONG: "1", DRAFTPLAN_DRAWS: String(draws) },
    encoding: "utf8",
    maxBuffer: 1 << 28,
    stdio: ["ignore", "pipe", "inherit"],
  },
);
const { numPassedTests: passed, numFailedTests: failed } = JSON.parse(stdout.slice(stdout.indexOf("{")));
if (passed + failed === 0) throw new Error(`no drafter is called ${values.drafter}`);
console.log(JSON.stringify({ draws, distributions: passed + failed, passed }));
process.exitCode = status ?? 1;
