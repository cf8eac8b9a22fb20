/** `draftplan train-heads` stopped by Ctrl-C, while the model writes and while its heads learn, and gone on with. */
import type { ChildProcess } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { draftplan } from "../support/cli.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const args = (output: string) => [
  ...["train-heads", "embedded", "--kind", "medusa", "--heads", "2", "--positions", "600", "--threads", "1"],
  ...["-o", output],
];
const sizeOf = (path: string) => (existsSync(path) ? statSync(path).size : 0);

/** Sends SIGINT once `isDue`. */
const interruptWhen = (isDue: () => boolean) => (child: ChildProcess) => {
  const timer = setInterval(() => {
    if (!isDue()) return;
    clearInterval(timer);
    child.kill("SIGINT");
  }, 5);
  child.once("exit", () => clearInterval(timer));
};

describe.skipIf(process.platform === "win32")("SIGINT (Windows has none)", () => {
  test("keeps what there is, and the same command gives the heads that an undisturbed one gives", async () => {
    const folder = temporaryFolder();
    const output = join(folder, "heads");
    const work = (name: string) => join(`${output}.partial`, name);
    const stops = [
      () => sizeOf(work("texts.jsonl")) > 0, // the model has written its first text
      () => sizeOf(work("training.bin")) > 0, // an epoch is done
    ];
    for (const isDue of stops) {
      const { code, stdout, stderr } = await draftplan(args(output), { during: interruptWhen(isDue) });
      expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
      expect(stderr).toMatch(/interrupted\n$/);
      expect(readdirSync(folder)).toEqual(["heads.partial"]); // no folder that is half one of heads
      for (const line of readFileSync(work("texts.jsonl"), "utf8").trimEnd().split("\n"))
        expect(() => JSON.parse(line)).not.toThrow();
    }
    expect(await draftplan(args(output))).toMatchObject({ code: 0 });
    expect(readdirSync(folder)).toEqual(["heads"]);
    const other = join(folder, "undisturbed");
    expect(await draftplan(args(other))).toMatchObject({ code: 0 });
    const files = readdirSync(output).sort();
    expect(readdirSync(other).sort()).toEqual(files);
    for (const file of files.filter((name) => name.endsWith(".safetensors")))
      expect(readFileSync(join(output, file)).equals(readFileSync(join(other, file)))).toBe(true);
  });
});
