/** Completion as shells do it: the scripts are loaded by real ones, and asked what they would offer. */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { draftplan } from "../support/cli.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const present = (shell: string): boolean => spawnSync(shell, ["-c", "exit 0"]).status === 0;

const folder = temporaryFolder();
mkdirSync(join(folder, "embers"));
for (const name of ["plan.yaml", "a model.gguf"]) writeFileSync(join(folder, name), "");
const FILES = ["a model.gguf", "embers", "plan.yaml"];

/** What a command line is offered at its end. Where a shell splits words on its own, `words` are its parts. */
interface Asked {
  line: string;
  words?: string[];
  offered: string[];
}

const CHOICES = ["skip", "int8", "int4", "int2"];
const ENGINES = ["llama.cpp", "onnxruntime-genai", "transformers", "sglang", "tensorrt-llm", "vllm"];

// From DESIGN's contract and the help texts, not from what the scripts say.
const ASKED: Asked[] = [
  { line: "draftplan co", offered: ["compare", "completion"] },
  { line: "draftplan completion ", offered: ["bash", "zsh", "fish"] },
  { line: "draftplan help ex", offered: ["explain", "export"] },
  { line: "draftplan plan ", offered: ["diff", "help"] },
  { line: "draftplan plan diff ", offered: FILES },
  { line: "draftplan plan diff --j", offered: ["--json"] },
  { line: "draftplan profile im", offered: ["import"] },
  { line: "draftplan profile import --model-c", offered: ["--model-config"] },
  { line: "draftplan solve --m", offered: ["--model", "--max-skip", "--method"] },
  {
    line: "draftplan solve --method ",
    offered: ["knapsack", "none", "knapspec", "clasp", "del", "swift", "early-exit", "uniform"],
  },
  { line: "draftplan solve --profile ", offered: FILES },
  { line: "draftplan solve --profile pl", offered: ["plan.yaml"] },
  { line: "draftplan solve --for ", offered: ENGINES },
  { line: "draftplan export plan.yaml --to v", offered: ["vllm"] },
  { line: "draftplan run --json --target ", offered: ["fp32", "fp16", "bf16", "int8", "int4"] },
  { line: "draftplan run --target fp", offered: ["fp32", "fp16", "bf16"].slice(0, 2) },
  { line: "draftplan run emb", offered: ["embedded", "embers"] },
  { line: "draftplan solve --choices ", offered: CHOICES },
  { line: "draftplan train-heads embedded --kind ", offered: ["medusa", "hydra"] },
  { line: "draftplan generate embedded --drafter mod", offered: ["model:"] },
  { line: "draftplan run --target xyz", offered: [] },
];

describe.skipIf(!present("bash"))("bash", () => {
  let script = "";
  beforeAll(async () => {
    script = (await draftplan(["completion", "bash"])).stdout;
  });

  /** One bash for all: each command line as its words, the last of them the one at the cursor. */
  function ask(lines: readonly (readonly string[])[]): string[][] {
    const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;
    const asked = lines.map(
      (words) =>
        `COMP_WORDS=(${words.map(quote).join(" ")}); COMP_CWORD=${words.length - 1}; _draftplan; printf '%s\\n' "\${COMPREPLY[@]}"; echo ----`,
    );
    const { stdout, stderr, status } = spawnSync("bash", ["--norc", "-u"], {
      input: [script, 'complete -p draftplan | grep -c -- "-F _draftplan "', ...asked].join("\n"),
      cwd: folder,
      encoding: "utf8",
    });
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    const [registered, ...answers] = stdout.split(/(?<=^1\n)|----\n/);
    expect(registered).toBe("1\n");
    return answers.slice(0, -1).map((answer) => answer.split("\n").filter((word) => word !== ""));
  }

  test("offers what may stand at the cursor", () => {
    const lines = ASKED.map(({ line }) => line.split(" "));
    const offered = ask(lines).map((words, i) => [ASKED[i].line, [...words].sort()]);
    expect(offered).toEqual(ASKED.map(({ line, offered: words }) => [line, [...words].sort()]));
  });

  test.each([
    ["--target=, split as bash does", ["draftplan", "run", "--target", "="], ["fp32", "fp16", "bf16", "int8", "int4"]],
    ["--target=i", ["draftplan", "run", "--target", "=", "i"], ["int8", "int4"]],
    [
      "--target=i, whole where the user took = from the breaks",
      ["draftplan", "run", "--target=i"],
      ["--target=int8", "--target=int4"],
    ],
    ["a list's second", ["draftplan", "solve", "--choices", "skip,i"], ["skip,int8", "skip,int4", "skip,int2"]],
    ["model:PATH, split", ["draftplan", "generate", "embedded", "--drafter", "model", ":", "pl"], ["plan.yaml"]],
    ["model: with nothing behind", ["draftplan", "generate", "embedded", "--drafter", "model", ":"], FILES],
    ["model:PATH, whole", ["draftplan", "generate", "embedded", "--drafter", "model:pl"], ["model:plan.yaml"]],
    [
      "a model in a list",
      ["draftplan", "calibrate", "embedded", "--drafters", "self,model:pl"],
      ["self,model:plan.yaml"],
    ],
    ["an option in place of a value", ["draftplan", "generate", "embedded", "--chat", "--sy"], ["--system"]],
    ["a verb that is none", ["draftplan", "*", "--j"], []],
    ["a word with a star, which is no pattern", ["draftplan", "run", "*"], []],
  ])("%s", (_, words, offered) => {
    expect(ask([words])[0].sort()).toEqual([...offered].sort());
  });

  test("offers every verb and every option that the help texts name", async () => {
    const verbsOf = (help: string) =>
      [...help.matchAll(/^ {2}([a-z][a-z-]*)(?= [[<]| {2,}|$)/gm)].map(([, verb]) => verb);
    const flagsOf = (help: string) =>
      [...help.matchAll(/^ {2}(?:(-\w), )?(--[a-z][a-z-]*)/gm)].flatMap(([, short, long]) =>
        short === undefined ? [long] : [short, long],
      );
    const first = (await draftplan(["--help"])).stdout.replace(/\nExamples:[\s\S]*/, "");
    const verbs = verbsOf(first);
    expect(verbs.length).toBeGreaterThan(18);
    const helps = await Promise.all(
      verbs
        .filter((verb) => verb !== "help")
        .map(async (verb) => [verb, (await draftplan([verb, "--help"])).stdout] as const),
    );
    const [offered, ...ofVerbs] = ask([["draftplan", ""], ...helps.map(([verb]) => ["draftplan", verb, "-"])]);
    expect(offered.sort()).toEqual(verbs.sort());
    expect(ofVerbs.map((words) => words.sort())).toEqual(helps.map(([, help]) => flagsOf(help).sort()));
  });
});

describe.skipIf(!present("fish"))("fish", () => {
  test("offers what may stand at the cursor", async () => {
    const script = join(folder, "draftplan.fish");
    writeFileSync(script, (await draftplan(["completion", "fish"])).stdout);
    const asks = ASKED.map(({ line }) => `complete -C '${line}'; echo ----`).join("; ");
    const { stdout } = spawnSync("fish", ["-N", "-c", `source ${script}; ${asks}`], { cwd: folder, encoding: "utf8" });
    const offered = stdout.split("----\n").slice(0, -1);
    expect(
      offered.map((lines) =>
        lines
          .split("\n")
          .filter((line) => line !== "")
          .map((line) => line.split("\t")[0].replace(/\/$/, ""))
          .filter((word) => word !== "draftplan.fish")
          .sort(),
      ),
    ).toEqual(ASKED.map(({ offered: words }) => [...words].sort()));
  });
});

describe.skipIf(!present("zsh"))("zsh", () => {
  test("offers what may stand at the cursor, at a Tab on a terminal", async () => {
    const script = join(folder, "draftplan.zsh");
    writeFileSync(script, (await draftplan(["completion", "zsh"])).stdout);
    // every match passes compadd, which answers with those that fit what is typed
    const { stdout } = spawnSync(
      "zsh",
      ["-f", "-c", ZSH, "zsh", script, join(folder, "offered"), ...ASKED.map(({ line }) => line)],
      {
        cwd: folder,
        encoding: "utf8",
        timeout: 60_000,
      },
    );
    const offered = stdout.split("----\n").slice(0, -1);
    expect(
      offered.map((lines) =>
        [
          ...new Set(
            lines
              .replaceAll("\\ ", " ")
              .split("\n")
              .filter((word) => !["", "offered", "draftplan.zsh", "draftplan.fish"].includes(word)),
          ),
        ].sort(),
      ),
    ).toEqual(ASKED.map(({ offered: words }) => [...words].sort()));
  });
});

const ZSH = `
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner "autoload -Uz compinit; compinit -D -u; source $1; export OFFERED=$2"
zpty -w inner 'compadd() {
  if [[ " $* " == *" -"[OAD]" "* || " $* " == *" -a"[^-]#" "*X ]]; then builtin compadd "$@"; return; fi
  local -a offered
  builtin compadd -O offered "$@"
  print -rl -- $offered >>$OFFERED
  builtin compadd "$@"
}'
zpty -w inner 'complete-and-clear() { : >$OFFERED; zle complete-word; print END >>$OFFERED; BUFFER= }'
zpty -w inner 'zle -N complete-and-clear; bindkey "^I" complete-and-clear; zstyle ":completion:*" completer _complete; setopt no_always_last_prompt; LISTMAX=10000; stty columns 200 rows 200'
sleep 0.5
for line in "$@[3,-1]"; do
  rm -f $2
  zpty -n -w inner "$line"$'\\t'
  for i in {1..100}; do
    if [[ -f $2 && "$(tail -n 1 $2)" == END ]]; then break; fi
    while zpty -r -t inner ignored; do :; done
    sleep 0.03
  done
  grep -v '^END$' $2
  echo ----
done
zpty -d inner
`;
