import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { draftplan } from "../support/cli.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const folder = temporaryFolder();
const output = join(folder, "heads");
const train = (...args: string[]) => draftplan(["train-heads", "embedded", ...args]);

test.each([
  ["an unknown kind", ["--kind", "eagle", "--heads", "4"], /OPTION_INVALID.*--kind eagle[\s\S]*medusa or hydra/],
  ["no head", ["--kind", "medusa", "--heads", "0"], /OPTION_INVALID.*--heads 0[\s\S]*1 to 8/],
  [
    "more heads than pay",
    ["--kind", "medusa", "--heads", "9"],
    /OPTION_INVALID.*--heads 9[\s\S]*costs more than it brings/,
  ],
  ["half a head", ["--kind", "hydra", "--heads", "1.5"], /OPTION_INVALID.*--heads 1.5/],
])("%s is refused", async (_, options, message) => {
  const { code, stdout, stderr } = await train(...options, "-o", output);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(message);
  expect(existsSync(output)).toBe(false);
});

test("a folder that holds something is not written over", async () => {
  const full = join(folder, "full");
  mkdirSync(full);
  writeFileSync(join(full, "config.json"), "{}");
  const { code, stderr } = await train("--kind", "medusa", "--heads", "2", "-o", full);
  expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringMatching(/something is there already/) });
});

test("text that is too short is refused, and nothing is left behind", async () => {
  const text = join(folder, "short.txt");
  writeFileSync(text, "Fellow citizens, this is short.");
  const { code, stderr } = await train("--kind", "medusa", "--heads", "2", "--text", text, "-o", output);
  expect({ code, stderr }).toMatchObject({ code: 3, stderr: expect.stringMatching(/TEXT_TOO_SHORT/) });
  expect(existsSync(`${output}.partial`)).toBe(false);
});

test("a place that cannot be written to is named before the model writes any text", async () => {
  writeFileSync(join(folder, "file"), "");
  const under = join(folder, "file", "heads");
  const { code, stderr } = await train("--kind", "medusa", "--heads", "2", "-o", under);
  expect({ code, stderr }).toMatchObject({ code: 3, stderr: expect.stringMatching(/FILE_UNWRITABLE/) });
});
