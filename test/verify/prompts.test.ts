import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { bundledPrompts, readPrompts } from "../../src/pipeline/text/prompts.js";
import type { Tokenizer } from "../../src/tokenizer/types.js";
import { expectFailure } from "../support/failure.js";

const folder = mkdtempSync(join(tmpdir(), "draftplan-prompts-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A token a character; a chat is rendered as `role:content|`. */
const tokenizer: Tokenizer = {
  encode: (text) => [0, ...[...text].map((c) => c.charCodeAt(0))],
  encodeRendered: (text) => [...text].map((c) => c.charCodeAt(0)),
  decode: (ids) => String.fromCharCode(...ids),
  renderChat: (messages) => messages.map(({ role, content }) => `${role}:${content}|`).join(""),
  hasChatTemplate: true,
  sha256: "0".repeat(64),
};

let files = 0;
function file(text: string): string {
  const path = join(folder, `prompts-${files++}.jsonl`);
  writeFileSync(path, text);
  return path;
}
const read = (text: string) => readPrompts(file(text), async () => tokenizer);

describe("a file of prompts", () => {
  test("holds text, chats and ids, one a line; empty lines do not count", async () => {
    const prompts = await read(
      '{"prompt": "ab"}\r\n\n{"chat": "hi"}\n{"chat": [{"role": "system", "content": "s"}, {"role": "user", "content": "u\\nv"}]}\n{"ids": [5, 6]}\n',
    );
    expect(prompts).toEqual([
      { name: "ab", ids: [0, 97, 98] },
      { name: "hi", ids: [..."user:hi|"].map((c) => c.charCodeAt(0)) },
      { name: "u v", ids: [..."system:s|user:u\nv|"].map((c) => c.charCodeAt(0)) },
      { name: "ids 5 6", ids: [5, 6] },
    ]);
  });

  test("of ids alone needs no tokenizer", async () => {
    const none = async (): Promise<Tokenizer> => {
      throw new Error("no tokenizer was to be opened");
    };
    expect(await readPrompts(file('{"ids": [1]}'), none)).toHaveLength(1);
  });

  test("names prompts by their beginning, without control characters", async () => {
    const [{ name }] = await read(JSON.stringify({ prompt: `\u001b[31m${"x".repeat(300)}` }));
    expect(name).toBe(`[31m${"x".repeat(55)}…`);
  });

  test.each([
    { name: "broken JSON", line: '{"prompt": ', code: "DOCUMENT_SYNTAX" as const },
    { name: "no object", line: "[1, 2]", code: "DOCUMENT_INVALID" as const },
    { name: "an unknown key", line: '{"prompt": "a", "n": 1}', code: "DOCUMENT_INVALID" as const },
    { name: "an empty chat", line: '{"chat": []}', code: "DOCUMENT_INVALID" as const },
    { name: "a message without content", line: '{"chat": [{"role": "user"}]}', code: "DOCUMENT_INVALID" as const },
    { name: "a negative id", line: '{"ids": [1, -1]}', code: "TOKEN_IDS_INVALID" as const },
    { name: "an id that is no number", line: '{"ids": ["1"]}', code: "TOKEN_IDS_INVALID" as const },
    { name: "no ids", line: '{"ids": []}', code: "TOKEN_IDS_INVALID" as const },
  ])("is refused with its line: $name", async ({ line, code }) => {
    await expectFailure(() => read(`{"prompt": "a"}\n\n${line}\n`), code, /jsonl:3/);
  });

  test("is refused where it is missing, empty or a folder", async () => {
    await expectFailure(
      () => readPrompts(join(folder, "none"), async () => tokenizer),
      "FILE_NOT_FOUND",
      "no such file",
    );
    await expectFailure(() => readPrompts(folder, async () => tokenizer), "FILE_UNREADABLE", "could not be read");
    await expectFailure(() => read("\n"), "DOCUMENT_INVALID", "no prompt");
  });
});

test("the bundled prompts are instructions for a chat model and prose for any other", async () => {
  const chat = await bundledPrompts(async () => tokenizer);
  const prose = await bundledPrompts(async () => ({ ...tokenizer, hasChatTemplate: false }));
  for (const set of [chat, prose]) {
    expect(set.length).toBeGreaterThanOrEqual(6);
    const lengths = set.map(({ ids }) => ids.length);
    expect(Math.max(...lengths)).toBeGreaterThan(10 * Math.min(...lengths));
  }
  expect(chat.every(({ ids }) => tokenizer.decode(ids).startsWith("user:"))).toBe(true);
  expect(prose.some(({ name }) => chat.some((other) => other.name === name))).toBe(false);
  for (const name of ["chat", "prose"]) expect(readFileSync(`assets/prompts/${name}.jsonl`, "utf8")).toMatch(/\}\n$/);
});

test("each bundled set has short and longer prompts, a list with numbers, dialogue, code and another language", () => {
  for (const name of ["chat", "prose"]) {
    const lines = readFileSync(`assets/prompts/${name}.jsonl`, "utf8").trimEnd().split("\n");
    expect(lines.length).toBe(15); // enough for a narrow interval, and `draftplan run` decodes them all
    const kinds = [
      /Fibonacci/i,
      /\d[,.]\d{3}/,
      /[éàè]/,
      name === "chat" ? /"role": "assistant"/ : /said the Secretary/,
    ];
    for (const kind of kinds) expect(lines.filter((line) => kind.test(line)).length).toBeGreaterThan(0);
    const lengths = lines.map((line) => line.length);
    expect(Math.min(...lengths)).toBeLessThan(80);
    expect(Math.max(...lengths)).toBeGreaterThan(1000);
  }
});
