/**
 * Chat templates print what they print in Python: 280 of them against transformers' own Jinja2 (test/fixtures/make-jinja.py),
 * and what is an error there is one here.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createChatRenderer } from "../../src/tokenizer/chat-template.js";
import type { ChatMessage } from "../../src/tokenizer/types.js";
import { readJson, SHARED, unlessMissing } from "../support/shared.js";

const { messages, rendered, refused } = JSON.parse(
  readFileSync(new URL("../fixtures/jinja.json", import.meta.url), "utf8"),
) as { messages: ChatMessage[]; rendered: [template: string, expected: string][]; refused: string[] };

const render = (chatTemplate: string, chat: readonly ChatMessage[] = messages): string => {
  const source = { file: "template", chatTemplate, specialTokens: {}, now: () => new Date(0) };
  return createChatRenderer(source)(chat, true);
};

describe("a template prints what Python prints", () => {
  test.each(rendered)("%s", (template, expected) => {
    expect(render(template)).toBe(expected);
  });
});

describe("what Python refuses is refused", () => {
  test.each(refused)("%s", (template) => {
    expect(() => render(template)).toThrow(expect.objectContaining({ code: "CHAT_TEMPLATE_INVALID" }));
  });
});

const reported = join(SHARED, "cases", "chat-jinja-differences", "expressions.json");
const { skip, title } = unlessMissing("expressions that were reported to differ", reported);
describe.skipIf(skip)(title, () => {
  const cases = skip ? [] : readJson<{ template: string; messages: ChatMessage[]; expected: string }[]>(reported);
  test.each(cases)("$template", ({ template, messages: chat, expected }) => {
    expect(render(template, chat)).toBe(expected);
  });
});
