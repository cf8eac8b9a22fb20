import { describe, expect, test } from "vitest";
import { openTokenizer } from "../../src/tokenizer/open.js";
import type { ChatMessage, Tokenizer } from "../../src/tokenizer/types.js";
import { folderWith, tinyFile } from "../support/tokenizers.js";

const CHAT: ChatMessage[] = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Hi  <b>&amp; 'you'" },
];
// 31 December 2024, 13:05:09 local time, a Tuesday
const now = (): Date => new Date(2024, 11, 31, 13, 5, 9);

const open = (config: object, files: Record<string, unknown> = {}): Promise<Tokenizer> =>
  openTokenizer(folderWith({ "tokenizer.json": tinyFile(), "tokenizer_config.json": config, ...files }), { now });
const openTemplate = (template: string): Promise<Tokenizer> =>
  open({ bos_token: "<s>", eos_token: { content: "</s>", lstrip: false }, chat_template: template });
const render = async (template: string): Promise<string> => (await openTemplate(template)).renderChat(CHAT);

const CHATML =
  "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

describe("a chat template", () => {
  test("renders a conversation, with and without the generation prompt", async () => {
    const tokenizer = await openTemplate(CHATML);
    const turns = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi  <b>&amp; 'you'<|im_end|>\n";
    expect(tokenizer.hasChatTemplate).toBe(true);
    expect(tokenizer.renderChat(CHAT)).toBe(`${turns}<|im_start|>assistant\n`);
    expect(tokenizer.renderChat(CHAT, { addGenerationPrompt: false })).toBe(turns);
  });

  test.each([
    ["the special tokens", "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}", "<s>|</s>|"],
    [
      "that there are no tools",
      "{% if tools is none and documents is none %}none{% endif %}{% if tools %}x{% endif %}",
      "none",
    ],
    [
      "loop variables, set and namespace",
      "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + loop.index %}{% endfor %}{{ ns.n }}",
      "3",
    ],
    ["trimmed blocks", "{% if true %}\n  a\n  {% endif %}\nb", "  a\nb"],
    [
      "macros and filters",
      "{% macro f(m) %}[{{ m.content | trim | upper }}]{% endmacro %}{{ f(messages[0]) }}",
      "[BE BRIEF.]",
    ],
    ["range", "{% for i in range(1, 7, 2) %}{{ i }}{% endfor %}{{ range(3) | length }}", "1353"],
    [
      "the date in English",
      "{{ strftime_now('%d %b %Y') }}, {{ strftime_now('%A %-d %B %y, %I:%M:%S %p %%') }}",
      "31 Dec 2024, Tuesday 31 December 24, 01:05:09 PM %",
    ],
  ])("sees %s", async (_name, template, expected) => {
    expect(await render(template)).toBe(expected);
  });

  test("in its own file goes before the one in tokenizer_config.json", async () => {
    const tokenizer = await open({ chat_template: "config" }, { "chat_template.jinja": "file" });
    expect(tokenizer.renderChat(CHAT)).toBe("file");
  });

  test("is the one called default, or the only one, of a list", async () => {
    const named = [
      { name: "tool_use", template: "tools" },
      { name: "default", template: "plain" },
    ];
    expect((await open({ chat_template: named })).renderChat(CHAT)).toBe("plain");
    expect((await open({ chat_template: named.slice(0, 1) })).renderChat(CHAT)).toBe("tools");
  });

  test.each([
    [{}],
    [{ chat_template: null }],
    [{ chat_template: [] }],
    [
      {
        chat_template: [
          { name: "a", template: "x" },
          { name: "b", template: "x" },
        ],
      },
    ],
  ])("is missed only when a chat is rendered: %j", async (config) => {
    const tokenizer = await open(config);
    expect(tokenizer.hasChatTemplate).toBe(false);
    expect(tokenizer.encode("ab")).toEqual([3]);
    expect(() => tokenizer.renderChat(CHAT)).toThrow(expect.objectContaining({ code: "CHAT_TEMPLATE_MISSING" }));
  });
});

describe("is refused with CHAT_TEMPLATE_INVALID, and only when a chat is rendered:", () => {
  test.each([
    ["a template that does not end", "{% for m in messages %}", /./],
    ["a tag that does not exist", "{% nonsense %}", /./],
    [
      "a template that refuses the conversation",
      "{{ raise_exception('roles must alternate') }}",
      /roles must alternate/,
    ],
    ["a call of nothing", "{{ nothing() }}", /./],
    ["an unknown date", "{{ strftime_now('%Q') }}", /%Q/],
    ["a range too long", "{% for i in range(100000000000) %}x{% endfor %}", /range/],
    ["a range without end", "{% for i in range(0, 5, 0) %}x{% endfor %}", /range/],
    ["endless recursion", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", /./],
    ["nesting beyond the stack", `${"{{ ".concat("(".repeat(200_000))}`, /./],
    [
      "text that doubles forever",
      "{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
      /./,
    ],
    [
      "too much text",
      "{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(22) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
      /33554432 characters/,
    ],
    ["a template too long", " ".repeat((1 << 20) + 1), /longer/],
  ])("%s", async (_name, template, what) => {
    const tokenizer = await openTemplate(template);
    expect(tokenizer.encode("ab")).toEqual([3]);
    expect(() => tokenizer.renderChat(CHAT)).toThrow(
      expect.objectContaining({ code: "CHAT_TEMPLATE_INVALID", what: expect.stringMatching(what) }),
    );
  });

  test("a template that would run for years", async () => {
    const loop = "{% for i in range(60000) %}";
    const tokenizer = await openTemplate(`${loop.repeat(4)}{% endfor %}{% endfor %}{% endfor %}{% endfor %}`);
    expect(() => tokenizer.renderChat(CHAT)).toThrow(
      expect.objectContaining({ code: "CHAT_TEMPLATE_INVALID", what: expect.stringMatching(/timed out/) }),
    );
    // and the tokenizer still works
    expect(tokenizer.encode("ab")).toEqual([3]);
  });
});
