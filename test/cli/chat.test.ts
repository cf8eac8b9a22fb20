/** generate --chat without a text, on a real pseudo terminal, and what it refuses. */
import { copyFileSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { beforeAll, describe, expect, test } from "vitest";
import { withChatText } from "../../src/cli/chat-text.js";
import { draftplan } from "../support/cli.js";
import { LONG } from "../support/long.js";
import { CTRL_C, CTRL_D, ENTER, onTerminal, withoutTerminal } from "../support/pseudo-terminal.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";
import { UNION } from "../support/tokenizers.js";

const TEMPLATE =
  "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";

/** The embedded model with a chat template; `template` null: without one, as it is. */
function chatModel(template = TEMPLATE): string {
  const folder = temporaryFolder();
  for (const file of ["config.json", "tokenizer.json"]) copyFileSync(join(UNION, file), join(folder, file));
  symlinkSync(join(UNION, "model.safetensors"), join(folder, "model.safetensors"));
  const config = JSON.parse(readFileSync(join(UNION, "tokenizer_config.json"), "utf8"));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ ...config, chat_template: template }));
  return folder;
}

let model: string;
beforeAll(() => {
  model = chatModel();
});

const options = ["--max-tokens", "8", "--threads", "1"];
const PROMPT = /> $/;
/** some words of an answer, behind the line that was typed */
const SPEAKING = /\n.*\w+ \w+ \w+$/s;

describe.skipIf(withoutTerminal)("on a terminal (needs util-linux' script)", () => {
  test.skipIf(LONG)(
    "a conversation says what one chat of the same words says, and reads only what is new",
    async () => {
      const { code, screen } = await onTerminal(
        ["generate", model, "--chat", "--system", "Be brief.", "--drafter", "lookup", ...options],
        [
          { after: PROMPT, keys: `My fellow citizens${ENTER}` },
          { after: PROMPT, keys: `Go on${ENTER}` },
          { after: PROMPT, keys: `/exit${ENTER}` },
        ],
      );
      const answers = screen
        .split(/> .*\n/)
        .slice(1, 3)
        .map((part) => part.split("\n(ended after")[0]);
      // the same rendered conversation as plain prompts
      let rendered = "system: Be brief.\n";
      for (const [i, said] of ["My fellow citizens", "Go on"].entries()) {
        rendered += `user: ${said}\nassistant:`;
        const { stdout } = await draftplan(["generate", model, "--prompt", rendered, ...options, "--json"]);
        const { text } = JSON.parse(stdout) as { text: string };
        expect(answers[i].replaceAll("\n", " ")).toBe(text.replaceAll("\n", " "));
        rendered += `${text}\n`;
      }
      const [, prompts, read] = /(\d+) prompt tokens, (\d+) of them read, 16 new in 2 turns/.exec(screen) ?? [];
      expect(Number(read)).toBeLessThan(Number(prompts));
      expect(code).toBe(0);
    },
  );

  test.runIf(LONG)("Ctrl-C ends an answer and not the program, and every answer anew", async () => {
    const { code, screen } = await onTerminal(
      ["generate", model, "--chat", "--max-tokens", "1500", "--threads", "1"],
      [
        { after: PROMPT, keys: `My fellow citizens${ENTER}` },
        { after: SPEAKING, keys: CTRL_C },
        { after: PROMPT, keys: `Go on${ENTER}` },
        { after: SPEAKING, keys: CTRL_C },
        { after: PROMPT, keys: `/exit${ENTER}` },
      ],
    );
    expect(screen.match(/\(interrupted\)/g)).toHaveLength(2);
    expect(screen).toMatch(/in 2 turns/);
    expect(code).toBe(0);
  });

  test.runIf(LONG)("at the prompt Ctrl-C gives up what was typed, says how to leave, and then leaves", async () => {
    const { code, screen } = await onTerminal(
      ["generate", model, "--chat", ...options],
      [
        { after: PROMPT, keys: "never sent" },
        { after: "never sent", keys: CTRL_C },
        { after: /^/, keys: CTRL_C },
        { after: /\(Ctrl-C again.*\n> $/, keys: `one${ENTER}` },
        { after: PROMPT, keys: CTRL_C },
        { after: /\(Ctrl-C again.*\n> $/, keys: CTRL_C },
      ],
    );
    expect(screen).toMatch(/in 1 turn\b/);
    expect(code).toBe(0);
  });

  test.runIf(LONG)(
    "Ctrl-D ends it; an empty line is not sent; /clear begins anew; a full context is said in clear words",
    async () => {
      const { code, screen } = await onTerminal(
        ["generate", model, "--chat", "--context", "24", ...options],
        [
          { after: PROMPT, keys: ENTER },
          { after: PROMPT, keys: `My fellow citizens${ENTER}` },
          { after: PROMPT, keys: `The union of these states is old${ENTER}` },
          { after: PROMPT, keys: `/clear${ENTER}` },
          { after: PROMPT, keys: `My fellow citizens${ENTER}` },
          { after: PROMPT, keys: CTRL_D },
        ],
      );
      expect(screen).toMatch(/\(the context is full: .*room for 23.*\/clear/);
      expect(screen).toMatch(/\(what was said is forgotten\)/);
      expect(screen).toMatch(/in 2 turns/);
      expect(code).toBe(0);
    },
  );

  test.runIf(LONG)("lines that are pasted together are answered one after the other", async () => {
    const { code, screen } = await onTerminal(
      ["generate", model, "--chat", ...options],
      [{ after: PROMPT, keys: `one${ENTER}two${ENTER}/exit${ENTER}` }],
    );
    expect(screen).toMatch(/in 2 turns/);
    expect(code).toBe(0);
  });

  test.runIf(LONG)("a template that refuses is told before anybody is asked", async () => {
    const refusing = chatModel("{{ raise_exception('no') }}");
    const { code, screen } = await onTerminal(["generate", refusing, "--chat", ...options], []);
    expect(screen).toMatch(/CHAT_TEMPLATE_INVALID/);
    expect(code).toBe(3);
  });

  test.runIf(LONG)("more context than the model has is refused", async () => {
    const { code, screen } = await onTerminal(["generate", model, "--chat", "--context", "999999", ...options], []);
    expect(screen).toMatch(/CONTEXT_LIMIT.*--context 999999/);
    expect(code).toBe(3);
  });
});

test.skipIf(LONG).each([
  ["no terminal", [], /no terminal/],
  ["JSON", ["--json"], /one value for programs/],
  ["several answers", ["--count", "2", "--temperature", "1"], /one answer a turn/],
])("refused: %s", async (_name, more, what) => {
  const { code, stderr } = await draftplan(["generate", model, "--chat", ...more]);
  expect(stderr).toMatch(/\[USAGE\] --chat/);
  expect(stderr).toMatch(what);
  expect(code).toBe(2);
});

test.skipIf(LONG)("--context without a conversation is refused", async () => {
  const { code, stderr } = await draftplan(["generate", model, "--chat", "x", "--context", "64"]);
  expect(stderr).toMatch(/\[USAGE\] --context/);
  expect(code).toBe(2);
});

describe.skipIf(LONG)("a text behind --chat", () => {
  const program = new Command();
  program.command("generate").option("--chat [text]").option("--plan <plan>").option("--json");
  const parsed = (...argv: string[]) => withChatText(["generate", "m", ...argv], program).slice(2);

  test.each([
    [
      ["--chat", "hello"],
      ["--chat", "hello"],
    ],
    [["--chat", "- one\n- two"], ["--chat=- one\n- two"]],
    [
      ["--chat", "-5 + 3?", "--json"],
      ["--chat=-5 + 3?", "--json"],
    ],
    [
      ["--chat", "-"],
      ["--chat", "-"],
    ],
    [
      ["--chat", "--json"],
      ["--chat", "--json"],
    ],
    [
      ["--chat", "--plan=p"],
      ["--chat", "--plan=p"],
    ],
    [["--chat"], ["--chat"]],
  ])("%j is %j", (argv, expected) => {
    expect(parsed(...argv)).toEqual(expected);
  });

  test("is none of another verb's business", () => {
    expect(withChatText(["solve", "--chat", "-x"], program)).toEqual(["solve", "--chat", "-x"]);
  });
});
