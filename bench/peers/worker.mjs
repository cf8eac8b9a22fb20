/**
 * A peer in a process of its own: its memory, its threads and what its libraries print are apart from everybody else's. It
 * loads once and then decodes what it is asked, so that peers take turns without loading being timed.
 *
 * Lines of JSON: the first one that it writes says which ways of decoding it has ({"version", "ways": [{"way", "precision"}]})
 * or why there are none ({"absent"}); after that each line it reads gets one line in answer ({"error"} where that failed).
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** for one decoding: far more than the slowest peer takes on a busy machine */
const MOST_MS = 5 * 60_000;

export class Worker {
  /** @param command program and arguments; @param options handed over as JSON, the last argument */
  constructor(name, command, options) {
    this.name = name;
    this.stderr = "";
    const [program, ...args] = command;
    this.child = spawn(program, [...args, JSON.stringify(options)], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ORT_DISABLE_TELEMETRY: "1", HF_HUB_OFFLINE: "1", TOKENIZERS_PARALLELISM: "false" },
    });
    this.child.stderr.on("data", (data) => {
      this.stderr = (this.stderr + data).slice(-4000);
    });
    this.child.stdin.on("error", () => {}); // it ended before it read all: what it wrote to stderr says why
    this.waiting = [];
    this.lines = [];
    createInterface({ input: this.child.stdout }).on("line", (line) => this.#heard(line));
    const ended = (why) => {
      this.ended = why;
      for (const { reject } of this.waiting.splice(0)) reject(this.#failure(why));
    };
    this.child.on("error", (error) => ended(error.message));
    this.child.on("close", (code, signal) => ended(`it ended with ${signal ?? code}`));
  }

  /** What it can do, or {absent: why it cannot. } */
  async ready() {
    try {
      return await this.#nextLine();
    } catch (error) {
      return { absent: error.message };
    }
  }

  /** @throws where the peer fails, or does not answer in time: it is ended then */
  async ask(request) {
    this.child.stdin.write(`${JSON.stringify(request)}\n`);
    const late = setTimeout(() => this.child.kill("SIGKILL"), MOST_MS);
    const answer = await this.#nextLine().finally(() => clearTimeout(late));
    if (answer.error !== undefined) throw new Error(`${this.name}: ${answer.error}`);
    return answer;
  }

  /** No more requests: it ends by itself. */
  async close() {
    if (this.ended !== undefined) return;
    const closed = new Promise((resolve) => this.child.on("close", resolve));
    this.child.stdin.end();
    const late = setTimeout(() => this.child.kill(), 10_000);
    await closed;
    clearTimeout(late);
  }

  #heard(line) {
    if (line.trim() === "") return;
    const first = this.waiting.shift();
    if (first === undefined) this.lines.push(line);
    else first.resolve(line);
  }

  async #nextLine() {
    const line =
      this.lines.shift() ??
      (await new Promise((resolve, reject) => {
        if (this.ended !== undefined) reject(this.#failure(this.ended));
        else this.waiting.push({ resolve, reject });
      }));
    return JSON.parse(line);
  }

  #failure(why) {
    const told = this.stderr.trim().split("\n").slice(-3).join(" | ");
    return new Error(told === "" ? why : `${why}: ${told}`);
  }
}
