/** `draftplan plan diff` as a user runs it, on the committed plans. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { PLAN } from "../check/support.js";
import { draftplan } from "../support/cli.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const SKIP = join("plans", "union-10m.plan-skip.yaml");
const diff = (...args: string[]) => draftplan(["plan", "diff", ...args], { cwd: root });

test("a plan against itself prints that nothing changed, and nothing else", async () => {
  expect(await diff(PLAN, PLAN)).toMatchObject({ code: 0, stdout: "Nothing changed.\n", stderr: "" });
});

test("two plans: what changed, range by range, as text and as JSON", async () => {
  const { code, stdout } = await diff(PLAN, SKIP);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^context 0 to \d+: .*\n {2}at \d+: predicted speedup \d+\.\d\d -> \d+\.\d\d/);
  const found = JSON.parse((await diff(PLAN, SKIP, "--json")).stdout);
  expect(Object.keys(found)).toEqual(["changed", "same_device", "constraints", "ranges"]);
  expect(found).toMatchObject({ changed: true, same_device: true });
  expect(found.ranges[0]).toMatchObject({ from: 0, tokens_per_second: { before: expect.any(Number) } });
});

test("a file that is not there is an error", async () => {
  expect(await diff(PLAN, "plans/none.yaml")).toMatchObject({
    code: 3,
    stdout: "",
    stderr: expect.stringMatching(/FILE_NOT_FOUND/),
  });
});
