/** A terminal's prompt, over streams that are none. */
import { PassThrough } from "node:stream";
import { describe, expect, test, vi } from "vitest";
import { Interruption, type Interrupts } from "../../src/cli/interruption.js";
import { openTerminal } from "../../src/cli/terminal.js";

function open() {
  const resumed: boolean[] = [];
  let reason: Interruption | undefined;
  const interrupts: Interrupts = {
    get reason() {
      return reason;
    },
    lost: undefined,
    listen: () => {},
    release: () => {},
    resume(anew = false) {
      resumed.push(anew);
      if (reason?.exitCode === 130) reason = undefined;
    },
    wake: null,
  };
  const input = new PassThrough();
  const raw: boolean[] = [];
  const streams = { input: Object.assign(input, { setRawMode: (on: boolean) => raw.push(on) }) };
  const terminal = openTerminal({ ...streams, output: new PassThrough().resume() }, interrupts);
  const stop = (exitCode: number) => {
    reason = new Interruption(exitCode, "interrupted");
    interrupts.wake?.();
  };
  return { terminal, input, interrupts, raw, resumed, stop };
}

test("lines are given one by one, those that came early too; the end of input is none any more", async () => {
  const { terminal, input } = open();
  const first = terminal.ask("> ");
  input.write("one\ntwo\n");
  expect(await first).toBe("one");
  expect(await terminal.ask("> ")).toBe("two");
  const last = terminal.ask("> ");
  input.end();
  expect(await last).toBeNull();
  expect(await terminal.ask("> ")).toBeNull();
});

test("Ctrl-C gives up what was typed, on a terminal that calls itself dumb too", async () => {
  vi.stubEnv("TERM", "dumb");
  try {
    const { terminal, input } = open();
    const asked = terminal.ask("> ");
    for (const key of ["given up", "\u0003", "kept", "\r"]) input.write(key);
    expect(await asked).toBe("kept");
  } finally {
    vi.unstubAllEnvs();
  }
});

test("the terminal is raw while it asks and not while a turn runs", async () => {
  const { terminal, input, raw } = open();
  const asked = terminal.ask("> ");
  expect(raw.at(-1)).toBe(true);
  input.write("x\n");
  await asked;
  await terminal.turn(async () => expect(raw.at(-1)).toBe(false));
});

describe("asked to stop", () => {
  test("at the prompt by SIGTERM: it is thrown, and not at anybody who comes later", async () => {
    const { terminal, stop } = open();
    const asked = terminal.ask("> ");
    stop(143);
    await expect(asked).rejects.toMatchObject({ exitCode: 143 });
  });

  test("at the prompt by a signal of Ctrl-C: twice ends it", async () => {
    const { terminal, stop, interrupts } = open();
    const asked = terminal.ask("> ");
    stop(130);
    expect(interrupts.reason).toBeUndefined();
    stop(130);
    expect(await asked).toBeNull();
  });

  test("before anybody was asked: at once", async () => {
    const { terminal, stop } = open();
    stop(143);
    await expect(terminal.ask("> ")).rejects.toMatchObject({ exitCode: 143 });
  });

  test("in a turn by Ctrl-C: the turn ends; by anything else: all of it", async () => {
    const { terminal, resumed } = open();
    const failing = (error: Error) => terminal.turn(async () => Promise.reject(error));
    expect(await failing(new Interruption(130, "interrupted"))).toBeNull();
    expect(resumed).toEqual([true, false]);
    await expect(failing(new Interruption(143, "interrupted"))).rejects.toMatchObject({ exitCode: 143 });
    await expect(failing(new Error("other"))).rejects.toThrow("other");
    expect(await terminal.turn(async () => 7)).toBe(7);
  });
});
