import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makePrompts } from "../../../src/calibrate/windows.js";
import { contextPrompts, inHalves, inParts, readCalibrationText } from "../../../src/pipeline/text/calibration-text.js";
import { openTokenizer } from "../../../src/tokenizer/open.js";
import type { Tokenizer } from "../../../src/tokenizer/types.js";

const codec = {
  encode: (text: string) => [...text].map((c) => c.codePointAt(0) ?? 0),
  decode: (ids: readonly number[]) => String.fromCodePoint(...ids),
  chat: null,
};

const codecOf = (tokenizer: Tokenizer) => ({
  encode: (text: string) => tokenizer.encode(text),
  decode: (ids: readonly number[]) => tokenizer.decode(ids),
});

/** Whether every surrogate has its other half. */
const isWellFormed = (text: string) => Buffer.from(text).toString() === text;

/** Every run of `length` characters of a text. */
const runsOf = (text: string, length: number) =>
  new Set(Array.from({ length: Math.max(0, text.length - length + 1) }, (_, i) => text.slice(i, i + length)));

describe("the two parts of a calibration text", () => {
  test("the bundled ones share no passage of 80 characters", () => {
    const { choose, report } = readCalibrationText(undefined);
    // a salutation of 60 characters, with which several speeches begin, is in both
    const seen = new Set(choose.flatMap((kind) => [...runsOf(kind, 80)]));
    expect(report.flatMap((kind) => [...runsOf(kind, 80)]).filter((run) => seen.has(run))).toEqual([]);
  });

  test("the bundled kinds are six, each in both parts, and fill a long context with different prompts", async () => {
    const { choose, report } = readCalibrationText(undefined);
    const tokenizer = await openTokenizer("embedded");
    for (const part of [choose, report]) {
      expect(part).toHaveLength(6);
      const kinds = part.map((text) => makePrompts([text], { ...codecOf(tokenizer), chat: null }, 1536, 2));
      for (const [kind, prompts] of kinds.entries()) expect(new Set(prompts.map(String)).size, `kind ${kind}`).toBe(2);
    }
    for (const part of [choose, report]) {
      expect(part[1]).toMatch(/^(export )?(async )?function /m); // code
      expect(part[2]).toMatch(/^User: .+\n\nAssistant: /m); // chat
      expect(part[3]).toMatch(/^\| .*\|$/m); // table
      expect(part[4]).toMatch(/^(- |1\. )/m); // list
      expect(part[5]).toMatch(/[äöüß]/); // another language
    }
  });

  test("are whole documents by turns where a file has several", () => {
    expect(inParts("one\f\ntwo\fthree\f\n  \n\ffour")).toEqual(["one\n\nthree", "two\n\nfour"]);
    expect(inParts("one two\f")).toEqual(inHalves("one two\f"));
  });

  test("are two halves of each file, in which nothing stands twice, whatever is written in it", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 2, maxLength: 80 }), (text) => {
        const [first, second] = inHalves(text);
        const joined = [first + second, `${first} ${second}`];
        expect(joined).toContain(text);
        // no character is cut in two where the text itself has none
        if (isWellFormed(text)) expect([first, second].every(isWellFormed)).toBe(true);
      }),
      { seed: 7 },
    );
  });

  test("are apart in a text without spaces too", () => {
    expect(inHalves("一二三四五六")).toEqual(["一二三", "四五六"]);
    const folder = mkdtempSync(join(tmpdir(), "draftplan-text-"));
    const file = join(folder, "chinese.txt");
    const text = Array.from({ length: 400 }, (_, i) => String.fromCodePoint(0x4e00 + i)).join("");
    writeFileSync(file, text);
    const { choose, report } = readCalibrationText([file]);
    expect([...choose, ...report].join("")).toBe(text);
    expect([...choose[0]].filter((c) => report[0].includes(c))).toEqual([]);
  });
});

describe("prompts", () => {
  const text = (choose: string, report: string) => ({
    choose: [choose],
    report: [report],
    source: "test",
    sha256: "a".repeat(64),
  });

  test("of the two parts of the bundled text have none in common, at any context", () => {
    for (const { choose, report } of contextPrompts(readCalibrationText(undefined), codec, [64, 512])) {
      const chosenOn = new Set(choose.map(String));
      expect(report.length).toBeGreaterThan(0);
      expect(report.filter((prompt) => chosenOn.has(String(prompt)))).toEqual([]);
    }
  });

  test("that a text repeats are left out of the report; a text that is all repetition is refused", () => {
    const one = Array.from({ length: 40 }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
    const [{ choose, report }] = contextPrompts(text(one, `${one.slice(0, 20)}${"XYZ".repeat(10)}`), codec, [20]);
    expect(choose.map(String)).not.toEqual(expect.arrayContaining(report.map(String)));
    expect(report.length).toBeLessThan(48);
    expect(() => contextPrompts(text(one, one), codec, [20])).toThrow(
      expect.objectContaining({ code: "TEXT_TOO_SHORT" }),
    );
  });
});
