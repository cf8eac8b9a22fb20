/** Text of files that reaches a terminal, a log or a CI system, and bytes that are to be text. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { harmless, withoutControls } from "../../src/core/text.js";
import { utf8Text } from "../../src/core/utf8.js";
import { draftplan } from "../support/cli.js";
import { expectFailure, failureOf } from "../support/failure.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const PLAN = "plans/union-10m.plan.yaml";

describe("what leaves for a terminal or a log", () => {
  test.each([
    ["\u001b]0;title\u0007\u001b[2J", "\\u001b]0;title\\u0007\\u001b[2J"],
    ["\u009b31m", "\\u009b31m"],
    ["::error file=x::lies", "\\u003a:error file=x::lies"],
    ["fine\n  ::set-output name=x::y", "fine\n  \\u003a:set-output name=x::y"],
    ["##[error]lies", "\\u0023#[error]lies"],
    ["##vso[task.setvariable]x", "\\u0023#vso[task.setvariable]x"],
    ["## heading, a::b, naïve 模型 🦙", "## heading, a::b, naïve 模型 🦙"],
  ])("%j is shown as %j", (text, shown) => expect(harmless(text)).toBe(shown));

  test("generated text keeps what languages need, and loses what moves the cursor", () => {
    expect(withoutControls("می\u200cخواهم\tx\n\u001b[2J\r")).toBe("می\u200cخواهم\tx\n\\u001b[2J\\u000d");
  });

  test("a model's and a device's name in inspect and check, as a table and as JSON", async () => {
    const folder = temporaryFolder();
    const hostile = '"evil\\e[2J\\a\\n::error file=x::lies\\u009b31m"';
    const text = readFileSync(PLAN, "utf8").replace(/name: union-10m/, `name: ${hostile}`);
    const plan = join(folder, "plan.yaml");
    writeFileSync(plan, text.replace(/processor: [^,\n]+/, `processor: ${hostile}`));
    for (const args of [
      ["inspect", plan],
      ["inspect", plan, "--json"],
      ["check", plan],
      ["check", plan, "--json"],
      ["explain", plan],
    ]) {
      const { stdout, stderr } = await draftplan(args);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are looked for
      expect(stdout + stderr).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
      expect(stdout + stderr).not.toMatch(/^\s*::/m);
    }
    const { stdout } = await draftplan(["inspect", plan, "--json"]);
    expect(JSON.parse(stdout).model.name).toBe("evil\u001b[2J\u0007\n::error file=x::lies\u009b31m");
  });

  test("a model's folder with a line break and a command in its name", async () => {
    const folder = join(temporaryFolder(), "x\n::error ::lies\u001b[2J");
    mkdirSync(folder);
    writeFileSync(join(folder, "config.json"), readFileSync("models/union-10m/config.json"));
    const { stdout, stderr } = await draftplan(["inspect", join(folder, "config.json")]);
    expect(stdout + stderr).not.toMatch(/^\s*::/m);
    expect(stdout + stderr).not.toContain("\u001b");
  });
});

describe("bytes that are to be text", () => {
  const valid = "aé模🦙\n".repeat(100);
  test.each([
    ["at the start", 0],
    ["in the middle", 505],
    ["at the end", Buffer.byteLength(valid)],
  ])("are refused where a byte of Latin-1 stands %s, and the first one is named", async (_, at) => {
    const whole = Buffer.from(valid);
    const start = whole.subarray(0, at - (at % 11)); // between two lines
    const bytes = Buffer.concat([start, Buffer.from([0xe9]), whole.subarray(start.length)]);
    const failure = await failureOf(() => utf8Text(bytes, "file"));
    expect(failure.code).toBe("TEXT_NOT_UTF8");
    expect(failure.message).toContain(`byte ${start.length} (0xe9)`);
    expect(failure.at).toBe(`file:${start.length / 11 + 1}`);
  });

  test.each([
    ["a stray continuation", [0x61, 0x80], 1],
    ["a character cut short", [0x61, 0xf0, 0x9f, 0xa6], 1],
    ["a surrogate", [0x61, 0x62, 0xed, 0xa0, 0x80], 2],
  ])("%s: the byte at which it begins is named", async (_, bytes, at) => {
    await expectFailure(() => utf8Text(Uint8Array.from(bytes), "file"), "TEXT_NOT_UTF8", new RegExp(`byte ${at} `));
  });

  test.each([
    ["with a mark", "\uFEFFprompt"],
    ["without one", "prompt"],
  ])("in UTF-16 %s are refused by that name", async (_, text) => {
    await expectFailure(() => utf8Text(Buffer.from(text, "utf16le"), "file"), "TEXT_NOT_UTF8", /UTF-16/);
  });

  test("lose a byte order mark, and are themselves otherwise", () => {
    expect(utf8Text(Buffer.from(`\uFEFF${valid}`), "file")).toBe(valid);
    expect(utf8Text(Buffer.from(valid), "file")).toBe(valid);
  });

  test.each([
    ["prompts", (file: string) => ["verify", PLAN, "--model", "embedded", "--prompts", file]],
    ["calibration text", (file: string) => ["calibrate", "embedded", "--text", file]],
    ["token ids", (file: string) => ["generate", "embedded", "--prompt-ids", file]],
    ["documents", (file: string) => ["inspect", file]],
    [
      "tables",
      (file: string) => [
        ...["profile", "import", file, "--model-config", "embedded", "--device", "processor=x", "provider=cpu"],
        ...["threads=1", "runtime=x", "platform=x"],
      ],
    ],
  ])("are refused as %s", async (_, args) => {
    const file = join(temporaryFolder(), "latin1.txt");
    writeFileSync(file, Buffer.from('{"prompt": "café au lait"}\n', "latin1"));
    const { code, stderr } = await draftplan(args(file));
    expect(code).toBe(3);
    expect(stderr).toMatch(/TEXT_NOT_UTF8.*latin1\.txt:1\n.*byte 15 \(0xe9\)/);
  });

  test("a plan in UTF-16 is found by a check of its folder", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "plan.yaml"), Buffer.from(`\uFEFF${readFileSync(PLAN, "utf8")}`, "utf16le"));
    const { code, stdout } = await draftplan(["check", folder]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/UTF-16/);
  });
});
