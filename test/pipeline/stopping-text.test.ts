/** Where text ends: against searching the whole text after every token. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { greedy } from "../../src/decode/accept/greedy.js";
import { Output } from "../../src/decode/output.js";
import { StoppingText } from "../../src/pipeline/generate/stopping-text.js";
import { fakeEngine } from "../support/fake-model.js";
import { trials } from "../support/long.js";

/** tokens whose borders lie anywhere in a stop text */
const PIECES = ["a", "b", "ab", "ba", "aab", "\n", "b\n", "\n\n", "é", "", "\n\na"];
const tokenizer = { decode: (ids: ArrayLike<number>) => Array.from(ids, (id) => PIECES[id]).join("") };

function stopping(stops: string[]) {
  const written: string[] = [];
  const ended: string[] = [];
  const sink = { write: (text: string) => written.push(text), end: (text: string) => ended.push(text) };
  return { text: new StoppingText(tokenizer as never, stops, sink), written, ended };
}

test("the first token that completes a stop text is the last, and nothing of the stop text is written", () => {
  const stops = fc.array(fc.stringMatching(/^[ab\n]{1,4}$/), { maxLength: 3 });
  const rounds = fc.array(fc.array(fc.nat(PIECES.length - 1), { minLength: 1, maxLength: 6 }), { maxLength: 8 });
  fc.assert(
    fc.property(stops, rounds, (wanted, given) => {
      const { text, written, ended } = stopping(wanted);
      const all = given.flat();
      let [taken, stopped] = [0, false];
      for (const ids of given) {
        const most = text.take(ids);
        taken += most ?? ids.length;
        text.write();
        // what was written stays: it is never the beginning of a stop text that comes later
        if (most !== null) {
          stopped = true;
          break;
        }
      }
      text.end();
      const after = (count: number) => tokenizer.decode(all.slice(0, count));
      const has = (count: number) => wanted.some((stop) => after(count).includes(stop));
      const last = Array.from({ length: all.length }, (_, i) => i + 1).find(has);
      expect({ stopped, taken }).toEqual({ stopped: last !== undefined, taken: last ?? all.length });
      const whole = after(taken);
      const at = wanted.map((stop) => whole.indexOf(stop)).filter((place) => place !== -1);
      const expected = at.length === 0 ? whole : whole.slice(0, Math.min(...at));
      expect([written.join(""), text.text, ended.length]).toEqual([expected, expected, 1]);
    }),
    { seed: 20270, numRuns: trials(300, 5000) },
  );
});

test("an output ends there, whatever was accepted behind it", () => {
  const { text } = stopping(["\n\n"]);
  const { engine } = fakeEngine({ vocab: PIECES.length });
  const output = new Output(engine, [1], { maxTokens: 9, endTokens: [4], stopAfter: (ids) => text.take(ids) }, greedy);
  expect([output.push([0, 5]), output.done]).toEqual([[0, 5], false]);
  // the second line break comes with a token that goes on, and an end token was accepted behind it
  expect([output.push([7, 4, 0]), output.done, output.finish]).toEqual([[7], true, "stop"]);
  expect(output.ids()).toEqual([0, 5, 7]);
});

test("an end token before it ends the output, and nothing behind it is looked at", () => {
  const { text } = stopping(["b"]);
  const { engine } = fakeEngine({ vocab: PIECES.length });
  const output = new Output(engine, [1], { maxTokens: 9, endTokens: [0], stopAfter: (ids) => text.take(ids) }, greedy);
  expect([output.push([0, 1]), output.finish, text.text]).toEqual([[0], "end", "a"]);
});
