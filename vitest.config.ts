import { defineConfig } from "vitest/config";

// Generous, because machines are busy: a test that hangs still ends.
const MINUTE = 60_000;

const LONG = "test/**/*.long.test.ts";

/**
 * Rooms whose tests load nothing native and put no module in another's place: their files share one process's modules,
 * since loading them took as long as a fifth of the tests. ONNX Runtime's bindings are made once a process, so files that
 * run a model have modules of their own.
 */
const PURE = ["profile", "report", "schema", "solve", "stats"].map((room) => `test/${room}/**/*.test.ts`);

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
          exclude: ["test/acceptance/**", LONG, ...PURE],
          ...UNIT,
        },
      },
      {
        // the rest of `npm test`
        test: { name: "unit-pure", include: PURE, exclude: [LONG], isolate: false, ...UNIT },
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
