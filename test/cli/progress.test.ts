import { PassThrough } from "node:stream";
import { CommanderError } from "commander";
import { describe, expect, test } from "vitest";
import { createProgress } from "../../src/cli/context.js";
import { Interruption } from "../../src/cli/interruption.js";
import { displayFor, noDisplay, type ProgressDisplay, terminalDisplay } from "../../src/cli/progress-bar.js";
import { explainError } from "../../src/cli/report-error.js";
import { DraftplanError } from "../../src/core/errors.js";

const calm = { reason: undefined, listen: () => {} };

describe("the display", () => {
  const written = async (isTTY: boolean, term: string | undefined) => {
    const stream = Object.assign(new PassThrough(), { isTTY, columns: 80 });
    const display = displayFor(stream as unknown as NodeJS.WriteStream, term);
    display.update({ stage: "loading", done: 0, total: 4 });
    display.update({ done: 4 });
    display.clear();
    return String(stream.read() ?? "");
  };
  test("is a bar on a terminal", async () => expect(await written(true, "xterm")).toContain("loading ["));
  test.each([
    ["a terminal that calls itself dumb", true, "dumb"],
    ["no terminal", false, "xterm"],
  ])("writes nothing on %s", async (_what, isTTY, term) => expect(await written(isTTY, term)).toBe(""));
});

describe("a tick", () => {
  test("lets the event loop run now and then by the clock, not every time", async () => {
    const progress = createProgress(noDisplay, calm, () => {});
    let turns = 0;
    let over = false;
    const turn = () => {
      turns++;
      if (!over) setImmediate(turn);
    };
    setImmediate(turn);
    const start = performance.now();
    let ticks = 0;
    while (performance.now() - start < 300) {
      await progress.tick();
      ticks++;
    }
    over = true;
    expect(turns).toBeGreaterThan(1); // every 20 ms; a busy machine may skip some
    expect(turns).toBeLessThan(40);
    expect(ticks).toBeGreaterThan(turns);
  });

  test("throws once something asked to stop", async () => {
    const interrupts: { reason: Interruption | undefined; listen(): void } = { reason: undefined, listen: () => {} };
    const progress = createProgress(noDisplay, interrupts, () => {});
    await progress.tick();
    interrupts.reason = new Interruption(130, "interrupted");
    await expect(progress.tick()).rejects.toBe(interrupts.reason);
  });

  test("passes on what it is told, and only then", async () => {
    const updates: unknown[] = [];
    const display: ProgressDisplay = { update: (update) => void updates.push(update), clear: () => {} };
    const progress = createProgress(display, calm, () => {});
    await progress.tick();
    await progress.tick({ stage: "profile", done: 1, total: 2 });
    expect(updates).toEqual([{ stage: "profile", done: 1, total: 2 }]);
  });
});

test("a warning is printed once for the same code and message", () => {
  const notes: string[] = [];
  const { warn } = createProgress(noDisplay, calm, (text) => notes.push(text));
  for (const [code, message] of [
    ["A", "x"],
    ["A", "x"],
    ["A", "y"],
    ["B", "x"],
  ])
    warn(code, message);
  expect(notes).toEqual(["warning [A]: x", "warning [A]: y", "warning [B]: x"]);
});

describe("the bar", () => {
  const terminal = () => {
    const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
    const shown = () => (stream.read() as Buffer | null)?.toString() ?? "";
    return { shown, display: terminalDisplay(stream as unknown as NodeJS.WriteStream) };
  };

  test("shows stage and count, and leaves the cursor visible", () => {
    const { shown, display } = terminal();
    display.update({ stage: "profile", done: 0, total: 8 });
    const text = shown();
    expect(text).toMatch(/profile \[.*\] 0\/8/);
    expect(text).not.toContain("\u001b[?25l");
    display.clear();
  });

  test("is taken away by clear, and comes back with the next update where it was", () => {
    const { shown, display } = terminal();
    display.update({ stage: "profile", done: 3, total: 8 });
    shown();
    display.clear();
    expect(shown()).toContain("\u001b["); // a line is erased
    display.clear();
    expect(shown()).toBe("");
    display.update({ done: 4 });
    expect(shown()).toMatch(/profile \[.*\] 4\/8/);
    display.clear();
  });

  test("is not drawn where there is nothing to count", () => {
    const { shown, display } = terminal();
    display.update({ stage: "load" });
    expect(shown()).toBe("");
  });
});

describe("an error", () => {
  const explain = (error: unknown, debug = false) => explainError(error, "draftplan generate", debug);

  test("says where, what and what to do, under its code", () => {
    const error = new DraftplanError({ code: "FILE_NOT_FOUND", at: "plan.yaml", what: "not there", remedy: "Look." });
    expect(explain(error)).toEqual({
      exitCode: 3,
      message: "error [FILE_NOT_FOUND] plan.yaml\n  what: not there\n  try:  Look.\n",
    });
  });

  test("that nobody foresaw is a fault of draftplan's own, without a stack trace unless asked for", () => {
    const { exitCode, message } = explain(new TypeError("x is not a function"));
    expect(exitCode).toBe(4);
    expect(message).toMatch(
      /^error \[INTERNAL\] draftplan generate\n {2}what: .*x is not a function\n {2}try: .*--debug.*\n$/,
    );
    expect(explain(new TypeError("x", { cause: new Error("y") }), true).message).toMatch(
      /TypeError: x\n +at [\s\S]*caused by Error: y/,
    );
  });

  test("of memory is told as one", () => {
    expect(explain(new RangeError("Array buffer allocation failed"))).toMatchObject({
      exitCode: 4,
      message: expect.stringContaining("OUT_OF_MEMORY"),
    });
  });

  test("stays on its lines, whatever is in it, and ends somewhere", () => {
    const error = new DraftplanError({
      code: "RUNTIME_FAILED",
      at: "onnxruntime\r\n\u001b[2J",
      what: `first\n\nsecond ${"x".repeat(5000)}`,
      remedy: "Look.\u0007",
    });
    const { message } = explain(error);
    expect(message.split("\n")).toHaveLength(4);
    expect(message.length).toBeLessThan(1000);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they must be gone
    expect(message.replace(/\n/g, "")).not.toMatch(/[\u0000-\u001f]/);
  });

  test("of usage suggests what was meant", () => {
    const { exitCode, message } = explain(
      new CommanderError(1, "commander.unknownOption", "error: unknown option '--promt'\n(Did you mean --prompt?)"),
    );
    expect(exitCode).toBe(2);
    expect(message).toBe(
      "error [USAGE] draftplan generate\n  what: unknown option '--promt'\n  try:  Did you mean --prompt? See: draftplan generate --help\n",
    );
  });

  test("an interruption is none: only its exit code counts", () => {
    expect(explain(new Interruption(143, "interrupted"))).toEqual({ exitCode: 143, message: "interrupted\n" });
    expect(explain(new Interruption(141, ""))).toEqual({ exitCode: 141, message: "" });
  });
});
