import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { defineConfig } from "vitest/config";

// Generous, because machines are busy: a test that hangs still ends.
const MINUTE = 60_000;

const LONG = "test/**/*.long.test.ts";

/**
 * What a test file says that loads something native or puts a module in another's place. ONNX Runtime's bindings are made
 * once a process, so such files have modules of their own.
 */
const OWN_MODULES =
  /vi\.mock\(|support\/cli\.js|runtime\/(load|loading|bindings|session|ort|heads-engine|kernels|providers|node-|bandwidth|probe|training\/)/;

/**
 * All others share one process's modules, since loading them took as long as a fifth of the tests. test/support/shared-modules.ts
 * fails where one of them loads a native library after all.
 */
function sharingModules(): string[] {
  const textOf = (path: string) => (existsSync(path) ? readFileSync(path, "utf8") : "");
  const needsItsOwn = (path: string) => {
    if (/^test.(cli|runtime)\b/.test(path)) return true;
    const text = textOf(path);
    const beside = [...text.matchAll(/from "(\.[^"]+)\.js"/g)].map(([, name]) => join(dirname(path), `${name}.ts`));
    const support = beside.filter((one) => one.startsWith("test"));
    return [text, ...support.map(textOf)].some((one) => OWN_MODULES.test(one));
  };
  return readdirSync("test", { recursive: true, encoding: "utf8" })
    .map((name) => join("test", name))
    .filter((path) => /\.test\.ts$/.test(path) && !/\.(long|acceptance)\.test\.ts$/.test(path))
    .filter((path) => dirname(path) !== "test" && !needsItsOwn(path))
    .map((path) => path.replaceAll("\\", "/"))
    .sort();
}
const SHARED = sharingModules();

/** the build, run as Node loads it */
const BUILD = [/\/dist\/.*\.js$/];

const report = process.env.DRAFTPLAN_TEST_REPORT;

const UNIT = {
  globalSetup: "test/support/own-cache.ts",
  server: { deps: { external: BUILD } },
  testTimeout: 5 * MINUTE,
  hookTimeout: 5 * MINUTE,
};

export default defineConfig({
  test: {
    maxWorkers: 2,
    // .ci/run counts from a file, so that it can run `npm test` word for word
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]],
    projects: [
      {
        // `npm test`: needs neither ../shared nor the network
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/acceptance/**", LONG, ...SHARED],
          ...UNIT,
        },
      },
      {
        // the rest of `npm test`
        test: {
          name: "unit-pure",
          include: SHARED,
          isolate: false,
          setupFiles: "test/support/shared-modules.ts",
          ...UNIT,
        },
      },
      {
        // `npm run test:long`: what takes minutes (test/support/long.ts)
        test: {
          name: "long",
          include: [LONG],
          env: { DRAFTPLAN_LONG: "1" },
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
          fileParallelism: false,
          testTimeout: 10 * MINUTE,
          hookTimeout: 10 * MINUTE,
        },
      },
    ],
  },
});
