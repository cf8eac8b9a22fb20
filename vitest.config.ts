import { defineConfig } from "vitest/config";

// Generous, because machines are busy: a test that hangs still ends.
const MINUTE = 60_000;

const LONG = "test/**/*.long.test.ts";

/** Tests that put another module in one's place: what they import must not be what other files imported. */
const MOCKING = ["kernel", "architecture"].map((what) => `test/model/adding-${what}.test.ts`);
MOCKING.push("test/model/synthetic.test.ts");

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
          exclude: ["test/acceptance/**", LONG, ...MOCKING],
          // the modules of 170 files are loaded once a worker: loading took as long as a fifth of the tests
          isolate: false,
          ...UNIT,
        },
      },
      {
        // the rest of `npm test`
        test: { name: "unit-mocks", include: MOCKING, ...UNIT },
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
