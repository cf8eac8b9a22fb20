/** A person at a terminal who is asked line by line, and whose Ctrl-C ends what runs and not the program. */
import { createInterface, type Interface } from "node:readline";
import type { Terminal } from "../commands/context.js";
import { BY_CTRL_C, Interruption, type Interrupts } from "./interruption.js";

const HOW_TO_LEAVE = "(Ctrl-C again, Ctrl-D or /exit ends the conversation)";

/** Streams that a conversation is held over; a terminal's have `setRawMode`. */
interface Streams {
  input: NodeJS.ReadableStream & { setRawMode?(raw: boolean): unknown };
  output: NodeJS.WritableStream;
}

/**
 * While it asks, the terminal is raw: keys come one by one, and Ctrl-C is a key. While a turn runs it is not, and Ctrl-C is a
 * signal, which comes through even where a pass blocks the event loop.
 */
export function openTerminal({ input, output }: Streams, interrupts: Interrupts): Terminal & { close(): void } {
  let reader: Interface | null = null;
  /** typed or pasted ahead of being asked for */
  const lines: string[] = [];
  let ended = false;
  /** who waits for a line; null: nobody was asked */
  let asked: { answer(line: string | null): void; fail(reason: unknown): void } | null = null;
  /** Ctrl-C was pressed on an empty line, and nothing was typed since */
  let leaving = false;

  const give = (line: string | null) => {
    const to = asked;
    [asked, leaving] = [null, false];
    interrupts.wake = null;
    if (to === null && line !== null) lines.push(line);
    to?.answer(line);
  };
  const onCtrlC = () => {
    if (reader === null || asked === null) return;
    if (reader.line !== "") {
      leaving = false;
      // what was typed is given up, as a shell does
      reader.write(null, { ctrl: true, name: "e" });
      reader.write(null, { ctrl: true, name: "u" });
      // on a dumb terminal these keys do nothing, and the line on the screen stays
      if (reader.line === "") return;
      Object.assign(reader, { line: "", cursor: 0 });
      output.write("\n");
      reader.prompt();
      return;
    }
    if (leaving) return give(null);
    leaving = true;
    output.write(`\n${HOW_TO_LEAVE}\n`);
    reader.prompt();
  };
  const onWake = () => {
    const { reason } = interrupts;
    if (reason === undefined || asked === null) return;
    if (reason.exitCode === BY_CTRL_C) {
      interrupts.resume();
      return onCtrlC();
    }
    const { fail } = asked;
    asked = null;
    fail(reason);
  };
  const open = (): Interface => {
    if (reader !== null) return reader;
    const made = createInterface({ input, output, terminal: true });
    made.on("line", give);
    made.on("SIGINT", onCtrlC);
    made.on("close", () => {
      ended = true;
      give(null);
    });
    reader = made;
    return made;
  };

  return {
    ask(prompt) {
      const waiting = lines.shift();
      if (waiting !== undefined) return Promise.resolve(waiting);
      if (ended) return Promise.resolve(null);
      return new Promise((answer, fail) => {
        asked = { answer, fail };
        interrupts.wake = onWake;
        const asking = open();
        asking.setPrompt(prompt);
        input.setRawMode?.(true);
        asking.resume();
        asking.prompt(true);
        onWake(); // what asked to stop before anybody was asked
      });
    },
    async turn(work) {
      reader?.pause();
      interrupts.resume(true);
      input.setRawMode?.(false);
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Interruption) || error.exitCode !== BY_CTRL_C) throw error;
        interrupts.resume();
        return null;
      }
    },
    close() {
      interrupts.wake = null;
      reader?.close();
    },
  };
}
