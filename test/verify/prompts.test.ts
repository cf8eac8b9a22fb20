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

  describe("is read in the forms in which prompts are published", () => {
    const said = async (line: object) => {
      const warned: string[] = [];
      const [{ ids }] = await readPrompts(
        file(JSON.stringify(line)),
        async () => tokenizer,
        (code, message) => warned.push(`${code} ${message.replace(/^.*jsonl: /, "")}`),
      );
      return { text: tokenizer.decode(ids), warned };
    };
    const user = { role: "user", content: "u" };
    const parts = [
      { type: "text", text: "a" },
      { type: "text", text: "b" },
    ];
    const batch = (url: string, body: object) => ({
      custom_id: "1",
      method: "POST",
      url,
      body: { model: "m", ...body },
    });
    test.each([
      ["HumanEval", { task_id: "T/0", prompt: "def", entry_point: "f", canonical_solution: "s" }, "\u0000def"],
      ["MT-Bench", { question_id: 81, category: "writing", turns: ["one"] }, "user:one|"],
      ["OpenAI's chat", { model: "m", messages: [{ role: "system", content: "s" }, user], n: 1 }, "system:s|user:u|"],
      ["content in parts", { messages: [{ role: "user", content: parts }] }, "user:ab|"],
      ["a batch of chats", batch("/v1/chat/completions", { messages: [user] }), "user:u|"],
      ["a batch of completions", batch("/v1/completions", { prompt: "p" }), "\u0000p"],
      ["a batch of ids", batch("/v1/completions", { prompt: [112, 113] }), "pq"],
      ["a batch of responses", batch("/v1/responses", { instructions: "s", input: "u" }), "system:s|user:u|"],
      [
        "responses in parts",
        batch("/v1/responses", { input: [{ role: "user", content: [{ type: "input_text", text: "u" }] }] }),
        "user:u|",
      ],
    ])("%s", async (_name, line, text) => expect(await said(line)).toEqual({ text, warned: [] }));

    test("and what is no part of the prompt is left out and said", async () => {
      expect(await said({ question_id: 1, turns: ["one", "two"] })).toEqual({
        text: "user:one|",
        warned: ["PROMPT_PARTS_LEFT_OUT in 1 line later turns were left out, no part of the prompt"],
      });
      expect(await said({ messages: [user, { role: "assistant", content: "answer" }] })).toEqual({
        text: "user:u|",
        warned: ["PROMPT_PARTS_LEFT_OUT in 1 line the answer at the end was left out, no part of the prompt"],
      });
    });
  });

  test.each([
    ["an unknown key by its name", { prompt: "a", n: 1 }, 'unknown key "n"'],
    ["keys of no form by their names", { text: "a", n: 1 }, 'no known key among "text", "n"'],
    [
      "an image",
      { messages: [{ role: "user", content: [{ type: "image_url" }] }] },
      'a part of type "image_url" is no text',
    ],
    [
      "calls of tools",
      {
        messages: [
          { role: "user", content: "u" },
          { role: "assistant", content: null, tool_calls: [] },
        ],
      },
      "calls of tools are not read",
    ],
    ["nothing but an answer", { messages: [{ role: "assistant", content: "a" }] }, "nothing but answers"],
    ["no turns", { question_id: 1, turns: [] }, "turns is no list of texts"],
    ["a chat that is none", { chat: 3 }, "chat: neither text nor a list of messages"],
    ["a list of prompts", { custom_id: "1", body: { prompt: ["a", "b"] } }, "body.prompt is no text"],
  ])("refuses %s", async (_name, line, what) => {
    await expectFailure(() => read(JSON.stringify(line)), "DOCUMENT_INVALID", what);
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
