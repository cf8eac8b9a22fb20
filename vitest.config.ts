import { defineConfig } from "vitest/config";

// Generous, because machines are busy: a test that hangs still ends.
const MINUTE = 60_000;

const report = process.env.DRAFTPLAN_TEST_REPORT;

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
          exclude: ["test/acceptance/**"],
          globalSetup: "test/support/own-cache.ts",
          testTimeout: 2 * MINUTE,
          hookTimeout: 2 * MINUTE,
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
