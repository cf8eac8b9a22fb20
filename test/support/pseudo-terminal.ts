/** Runs a command line on a real pseudo terminal, by util-linux' `script`, and types what a person would. */
import { spawn, spawnSync } from "node:child_process";
import { CLI } from "./cli.js";

/** For `describe.skipIf`: whether there is a `script` that takes a command and gives its exit code. */
const { stdout } = spawnSync("script", ["--version"], { encoding: "utf8" });
export const withoutTerminal = process.platform !== "linux" || !/util-linux/.test(stdout ?? "");

export const CTRL_C = "\x03";
export const CTRL_D = "\x04";
export const ENTER = "\r";

/** Types `keys` once what came since the last keys has `after`. */
export interface Typed {
  after: string | RegExp;
  keys: string;
}

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;
const MINUTE_MS = 60_000;

/** @returns what stood on the terminal, escape sequences and carriage returns left out */
export function onTerminal(
  args: readonly string[],
  typed: readonly Typed[],
): Promise<{ code: number | null; screen: string }> {
  // exec: a shell that stays is told of Ctrl-C too, and dash then ends by it once its command has ended well
  const command = `exec ${[process.execPath, CLI, ...args].map(quoted).join(" ")}`;
  // script takes the user's own shell
  const env = { ...process.env, SHELL: "/bin/sh" };
  const child = spawn("script", ["-q", "-e", "-c", command, "/dev/null"], { stdio: "pipe", env });
  return new Promise((resolve, reject) => {
    let screen = "";
    let seen = 0;
    let next = 0;
    const late = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`waited a minute for ${typed[next]?.after ?? "the end"}; there stands:\n${screen}`));
    }, MINUTE_MS);
    child.stdout.on("data", (data: Buffer) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is to go
      screen += data.toString().replace(/\u001b\[[0-9;?]*[A-Za-z]|\r/g, "");
      while (next < typed.length) {
        const { after, keys } = typed[next];
        const rest = screen.slice(seen);
        const found = typeof after === "string" ? rest.indexOf(after) : rest.search(after);
        if (found === -1) break;
        seen = screen.length;
        next++;
        child.stdin.write(keys);
      }
    });
    child.on("error", reject);
    child.stdin.on("error", () => {}); // it ended before all was typed: the screen says why
    child.on("close", (code) => {
      clearTimeout(late);
      resolve({ code, screen });
    });
  });
}
