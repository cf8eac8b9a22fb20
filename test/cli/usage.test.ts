import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { draftplan } from "../support/cli.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const VERBS = [
  "run",
  "inspect",
  "generate",
  "evaluate",
  "profile",
  "calibrate",
  "train-heads",
  "solve",
  "explain",
  "plan",
  "verify",
  "compare",
  "check",
  "report",
  "history",
  "doctor",
  "cache",
  "completion",
];

/** Where, what, what to do: three lines and nothing else. */
const GENERATE = ["generate", "embedded", "--prompt", "x"];
const threeLines = (code: string) => new RegExp(`^error \\[${code}\\] .+\\n {2}what: .+\\n {2}try: {2}.+\\n$`);

describe("help", () => {
  test("names every verb and the exit codes", async () => {
    const { code, stdout, stderr } = await draftplan(["--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const verb of VERBS) expect(stdout).toMatch(new RegExp(`^ {2}${verb}\\b`, "m"));
    expect(stdout).toContain("Exit codes");
  });

  // The contract's flags; each verb may have more.
  test.each([
    ["run", ["--out", "--json", "--debug", "--threads", "--provider"]],
    ["inspect", ["--json", "--debug"]],
    [
      "generate",
      [
        "--prompt",
        "--chat",
        "--prompt-ids",
        "--plan",
        "--max-tokens",
        "--temperature",
        "--seed",
        "--json",
        "--threads",
      ],
    ],
    ["evaluate", ["--skip", "--plan", "--ids", "--json"]],
    ["profile", ["-o", "--context", "--query", "--threads", "--provider"]],
    ["calibrate", ["--text", "-o"]],
    ["solve", ["--profile", "--calibration", "--model", "--choices", "--method", "-o"]],
    ["explain", ["--at", "--all", "--json"]],
    ["verify", ["--model", "--prompts", "--min-speedup", "-o"]],
    [
      "compare",
      [
        "--profile",
        "--calibration",
        "--methods",
        "--choices",
        "--text",
        "--prompts",
        "--max-tokens",
        "--pairs",
        "--time",
        "-o",
      ],
    ],
    [
      "check",
      [
        ...["--baseline", "--tolerance", "--model", "--measure", "--time", "--fail-inconclusive"],
        ...["--junit", "--github", "--markdown", "--json"],
      ],
    ],
    ["report", ["-o"]],
    ["history", ["--json"]],
    ["doctor", ["--provider", "--ort-library", "--threads", "--json"]],
    ["cache", ["--clear"]],
    ["completion", ["--json"]],
  ])("of %s names its flags and shows how it is used", async (verb, flags) => {
    const { code, stdout, stderr } = await draftplan([verb, "--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const flag of flags) expect(stdout).toMatch(new RegExp(`^ +(-\\w, )?${flag}\\b`, "m"));
    expect(stdout).toMatch(/(Examples|Until it exists):\n {2}draftplan /);
  });

  test("the version is the package's", async () => {
    const { version } = JSON.parse(readFileSync(fileURLToPath(new URL("../../package.json", import.meta.url)), "utf8"));
    expect(await draftplan(["--version"])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });
});

describe("wrong usage ends with exit code 2 and three lines on stderr", () => {
  test.each([
    ["an unknown verb", ["genrate"], "USAGE", /Did you mean generate\?/],
    ["an unknown flag", ["generate", "embedded", "--promt", "x"], "USAGE", /Did you mean --prompt/],
    ["a missing model", ["generate", "--prompt", "x"], "USAGE", /missing required argument/],
    ["too many arguments", ["inspect", "embedded", "another"], "USAGE", /too many arguments/],
    ["no prompt", ["generate", "embedded"], "USAGE", /no prompt/],
    ["two prompts", ["generate", "embedded", "--prompt", "x", "--chat", "y"], "USAGE", /cannot be used with/],
    ["no draft", ["evaluate", "embedded"], "USAGE", /no draft/],
    ["two drafts", ["evaluate", "embedded", "--skip", "1.attn", "--plan", "p.yaml"], "USAGE", /cannot be used with/],
    ["a flag without its value", ["generate", "embedded", "--prompt"], "USAGE", /argument missing/],
    ["no tokens", ["generate", "embedded", "--prompt", "x", "--max-tokens", "0"], "OPTION_INVALID", /--max-tokens/],
    [
      "half a token",
      ["generate", "embedded", "--prompt", "x", "--max-tokens", "1.5"],
      "OPTION_INVALID",
      /--max-tokens/,
    ],
    [
      "a number with a tail",
      ["generate", "embedded", "--prompt", "x", "--max-tokens", "10x"],
      "OPTION_INVALID",
      /--max-tokens/,
    ],
    ["no threads", ["generate", "embedded", "--prompt", "x", "--threads", "0"], "OPTION_INVALID", /--threads/],
    [
      "another provider",
      ["generate", "embedded", "--prompt", "x", "--provider", "tpu"],
      "OPTION_INVALID",
      /--provider/,
    ],
    [
      "a negative temperature",
      ["generate", "embedded", "--prompt", "x", "--temperature", "-1"],
      "OPTION_INVALID",
      /--temperature/,
    ],
    ["a temperature that is no number", [...GENERATE, "--temperature", "NaN"], "OPTION_INVALID", /--temperature/],
    ["a top-k that leaves no token", [...GENERATE, "--top-k", "0"], "OPTION_INVALID", /--top-k[\s\S]*leaves no token/],
    ["a top-p that leaves no token", [...GENERATE, "--top-p", "0"], "OPTION_INVALID", /--top-p[\s\S]*leaves no token/],
    ["a top-p above 1", [...GENERATE, "--top-p", "1.01"], "OPTION_INVALID", /--top-p/],
    [
      "a min-p that leaves no token",
      [...GENERATE, "--min-p", "1.5"],
      "OPTION_INVALID",
      /--min-p[\s\S]*leaves no token/,
    ],
    ["a repetition penalty of 0", [...GENERATE, "--repetition-penalty", "0"], "OPTION_INVALID", /--repetition-penalty/],
    ["a seed of 2^53", [...GENERATE, "--temperature", "1", "--seed", "9007199254740992"], "OPTION_INVALID", /2\^53/],
    [
      "seeds that end beyond it",
      [...GENERATE, "--temperature", "1", "--seed", "9007199254740991", "--count", "2"],
      "OPTION_INVALID",
      /2\^53/,
    ],
    ["several greedy continuations", [...GENERATE, "--count", "2"], "USAGE", /--temperature/],
    ["the same at temperature 0", [...GENERATE, "--temperature", "0", "--count", "2"], "USAGE", /--temperature/],
    ["a check of nothing", ["check"], "USAGE", /missing required argument/],
    ["a tolerance that is no percentage", ["check", "plans", "--tolerance", "0.05"], "OPTION_INVALID", /5%/],
    ["a report without its file", ["report", "a.yaml"], "USAGE", /--output/],
    ["a report of nothing", ["report", "-o", "r.html"], "USAGE", /missing required argument/],
    ["solve without a profile", ["solve", "--calibration", "c.yaml"], "USAGE", /--profile/],
    ["verify without a model", ["verify", "p.yaml"], "USAGE", /--model/],
  ])("%s", async (_what, args, code, message) => {
    const finished = await draftplan(args);
    expect(finished.stderr).toMatch(threeLines(code));
    expect(finished.stderr).toMatch(message);
    expect({ code: finished.code, stdout: finished.stdout }).toEqual({ code: 2, stdout: "" });
  });

  test("no verb at all: the help, on stderr", async () => {
    const { code, stdout, stderr } = await draftplan([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^Usage: draftplan/);
  });
});

describe("what cannot be read ends with exit code 3", () => {
  const folder = temporaryFolder();
  const file = (name: string, content: string) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  test.each([
    ["a model that is not there", ["generate", "nowhere.gguf", "--prompt", "x"], "FILE_NOT_FOUND"],
    [
      "a file that is no model",
      ["generate", file("text.gguf", "hello"), "--prompt-ids", file("one.json", "[1]")],
      "MODEL_NOT_RECOGNISED",
    ],
    ["a folder that is no model", ["inspect", folder], "MODEL_NOT_RECOGNISED"],
    ["a plan that is not there", ["generate", "embedded", "--prompt", "x", "--plan", "nowhere.yaml"], "FILE_NOT_FOUND"],
    [
      "a plan with an open bracket",
      ["generate", "embedded", "--prompt", "x", "--plan", file("open.yaml", "kind: [")],
      "DOCUMENT_SYNTAX",
    ],
    ["ids that are not there", ["generate", "embedded", "--prompt-ids", "nowhere.json"], "FILE_NOT_FOUND"],
    ["ids that are no JSON", ["generate", "embedded", "--prompt-ids", file("no.json", "[1,")], "TOKEN_IDS_INVALID"],
    [
      "ids that are no list",
      ["generate", "embedded", "--prompt-ids", file("map.json", '{"ids": [1]}')],
      "TOKEN_IDS_INVALID",
    ],
    ["no ids", ["generate", "embedded", "--prompt-ids", file("empty.json", "[]")], "TOKEN_IDS_INVALID"],
    [
      "an id that is no number",
      ["generate", "embedded", "--prompt-ids", file("text.json", '[1, 2, "3"]')],
      "TOKEN_IDS_INVALID",
    ],
    [
      "an id that the model does not have",
      ["generate", "embedded", "--prompt-ids", file("far.json", "[1, 2, 4096]")],
      "TOKEN_IDS_INVALID",
    ],
    [
      "a prompt beyond the context",
      ["generate", "embedded", "--prompt-ids", file("long.json", JSON.stringify(new Array(2048).fill(5)))],
      "CONTEXT_LIMIT",
    ],
    [
      "more new tokens than the context holds",
      ["generate", "embedded", "--prompt", "x", "--max-tokens", "2048"],
      "CONTEXT_LIMIT",
    ],
    ["a block that the model does not have", ["evaluate", "embedded", "--skip", "12.attn"], "BLOCK_UNKNOWN"],
    ["a block named twice", ["evaluate", "embedded", "--skip", "1.attn,1.attn"], "DOCUMENT_INVALID"],
    [
      "a first position behind the ids",
      ["evaluate", "embedded", "--skip", "1.attn", "--ids", file("first.json", '{"ids": [1, 2], "first": 2}')],
      "TOKEN_IDS_INVALID",
    ],
    [
      "text beyond the context",
      [
        "evaluate",
        "embedded",
        "--skip",
        "1.attn",
        "--ids",
        file("long2.json", JSON.stringify(new Array(2049).fill(5))),
      ],
      "CONTEXT_LIMIT",
    ],
  ])("%s", async (_what, args, code) => {
    const finished = await draftplan([...args, "--json"]);
    expect(finished.stderr).toMatch(threeLines(code));
    expect({ code: finished.code, stdout: finished.stdout }).toEqual({ code: 3, stdout: "" });
  });

  test("the position of a wrong id is named", async () => {
    const { stderr } = await draftplan(["generate", "embedded", "--prompt-ids", join(folder, "far.json")]);
    expect(stderr).toMatch(/far\.json: \[2\]/);
    expect(stderr).toContain("4096");
  });

  test("a stack trace comes with --debug only", async () => {
    const args = ["inspect", join(folder, "open.yaml")];
    expect((await draftplan(args)).stderr).not.toMatch(/^ +at /m);
    const { code, stderr } = await draftplan([...args, "--debug"]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/^ +at .*\.js:\d+/m);
  });

  test("a hostile name cannot write escape sequences to the terminal", async () => {
    const { stderr } = await draftplan(["inspect", file("escape.yaml", 'kind: "\\e[31mred\\nnext"\nversion: 1\n')]);
    expect(stderr).toMatch(threeLines("DOCUMENT_KIND"));
    expect(stderr).not.toContain("\u001b");
  });
});

test("--threads 1000 is bounded, with a warning, and does not hang", async () => {
  const { code, stderr } = await draftplan([
    ...["generate", "embedded", "--prompt", "Fellow", "--max-tokens", "2", "--threads", "1000"],
  ]);
  expect(code).toBe(0);
  expect(stderr).toMatch(/warning \[TOO_MANY_THREADS\]: --threads 1000 .* \d+ are used/);
});
