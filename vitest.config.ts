import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { defineConfig } from "vitest/config";

// Generous, because machines are busy: a test that hangs still ends.
const MINUTE = 60_000;

const LONG = "test/**/*.long.test.ts";

/** What a test file says that puts a module in another's place: it has modules of its own, and a process. */
const MOCKS = /vi\.mock\(/;
/** What loads ONNX Runtime from src. Its bindings are made once a process, so no such file shares one with the build's. */
const NATIVE =
  /runtime\/(load|loading|bindings|session|ort|heads-engine|kernels|providers|node-|bandwidth|probe|training\/)/;
/** What runs the build's command line. */
const CLI = /support\/cli\.js/;
/** Of what shares nothing: files that look at what happens once in a process. */
const ONCE =
  /^test.runtime.(host|memory|ort-engine-lifecycle|providers|providers-library)\.test|^test.cli.(telemetry|profile-slice)\.test/;

type Sharing = "nothing" | "pure" | "native" | "cli";

/**
 * With whom a test file shares a process and its loaded modules: loading them for every file took as long as a third of the
 * tests. test/support/shared-modules.ts fails where one of the pure ones loads a native library after all.
 */
function sharingOf(path: string): Sharing {
  const textOf = (file: string) => (existsSync(file) ? readFileSync(file, "utf8") : "");
  const text = textOf(path);
  const beside = [...text.matchAll(/from "(\.[^"]+)\.js"/g)].map(([, name]) => join(dirname(path), `${name}.ts`));
  const says = [text, ...beside.filter((one) => one.startsWith("test")).map(textOf)];
  const isOf = (pattern: RegExp, folder: RegExp) => folder.test(path) || says.some((one) => pattern.test(one));
  const isNative = isOf(NATIVE, /^test.runtime\b/);
  const isCli = isOf(CLI, /^test.cli\b/);
  if (dirname(path) === "test" || ONCE.test(path) || says.some((one) => MOCKS.test(one))) return "nothing";
  if (isNative && isCli) return "nothing";
  return isNative ? "native" : isCli ? "cli" : "pure";
}

function filesBySharing(): Record<Sharing, string[]> {
  const files: Record<Sharing, string[]> = { nothing: [], pure: [], native: [], cli: [] };
  const all = readdirSync("test", { recursive: true, encoding: "utf8" })
    .map((name) => join("test", name))
    .filter((path) => /\.test\.ts$/.test(path) && !/\.(long|acceptance)\.test\.ts$/.test(path));
  for (const path of all.sort()) files[sharingOf(path)].push(path.replaceAll("\\", "/"));
  return files;
}
const FILES = filesBySharing();

/** the build, run as Node loads it */
const BUILD = [/\/dist\/.*\.js$/];

const report = process.env.DRAFTPLAN_TEST_REPORT;

const EQUAL = "test/support/equal-arrays.ts";

const UNIT = {
  globalSetup: "test/support/own-cache.ts",
  setupFiles: [EQUAL],
  server: { deps: { external: BUILD } },
  testTimeout: 5 * MINUTE,
  hookTimeout: 5 * MINUTE,
};

export default defineConfig({
  test: {
    maxWorkers: 2,
    // 10 s by default: on a loaded machine a worker took longer to end, and a run of which all passed said so as an error
    teardownTimeout: MINUTE,
    // .ci/run counts from a file, so that it can run `npm test` word for word
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]],
    projects: [
      {
        // `npm test`: needs neither ../shared nor the network
        test: {
          name: "unit",
          include: FILES.nothing,
          ...UNIT,
        },
      },
      {
        // the rest of `npm test`, three ways of sharing modules
        test: {
          name: "unit-pure",
          include: FILES.pure,
          isolate: false,
          ...UNIT,
          setupFiles: [EQUAL, "test/support/shared-modules.ts"],
        },
      },
      {
        test: { name: "unit-native", include: FILES.native, isolate: false, ...UNIT },
      },
      {
        test: { name: "unit-cli", include: FILES.cli, isolate: false, ...UNIT },
      },
      {
        // `npm run test:long`: what takes minutes (test/support/long.ts)
        test: {
          name: "long",
          include: [LONG],
          env: { DRAFTPLAN_LONG: "1" },
          setupFiles: [EQUAL],
          globalSetup: "test/support/own-cache.ts",
          server: { deps: { external: BUILD } },
          testTimeout: 10 * MINUTE,
          hookTimeout: 10 * MINUTE,
        },
      },
      {
        // `npm run test:acceptance`: against the models and goldens in ../shared, or $DRAFTPLAN_SHARED; one file at a
        // time, because some measure
        test: {
          name: "acceptance",
          include: ["test/acceptance/*.acceptance.test.ts"],
          env: { DRAFTPLAN_ACCEPTANCE: "1" },
          setupFiles: [EQUAL],
          fileParallelism: false,
          testTimeout: 10 * MINUTE,
          hookTimeout: 10 * MINUTE,
        },
      },
    ],
  },
});
