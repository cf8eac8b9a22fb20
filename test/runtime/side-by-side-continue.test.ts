/** Texts that end at different times, on places that count. */
import { expect, test } from "vitest";
import { continueSideBySide } from "../../src/runtime/side-by-side/continue.js";
import type { SideBySide } from "../../src/runtime/side-by-side/texts.js";

const END = 99;

/** Each text counts on from its prompt's last token; its state is [token, 100 · place], before the norm that and one more. */
class Counting implements SideBySide {
  readonly places = 3;
  readonly capacity = 50;
  readonly tokens = new BigInt64Array(3);
  readonly states = new Float32Array(6);
  readonly hidden = new Float32Array(6);
  readonly begun: Parameters<SideBySide["begin"]>[2][] = [];
  readonly held: { place: number; tokens: number }[] = [];
  steps = 0;
  hold(place: number, rows: { count: number }) {
    this.held.push({ place, tokens: rows.count });
  }
  begin(place: number, prompt: readonly number[], like?: { place: number; shared: number }) {
    this.begun.push(like);
    this.put(place, prompt[prompt.length - 1] + 1);
  }
  step() {
    this.steps += 1;
    for (let place = 0; place < 3; place++) this.put(place, Number(this.tokens[place]) + 1);
  }
  private put(place: number, token: number) {
    this.tokens[place] = BigInt(token);
    this.states.set([token, 100 * place], 2 * place);
    this.hidden.set([token + 1, 100 * place + 1], 2 * place);
  }
  close() {}
}

const how = {
  tokens: 5,
  endTokens: [END],
  hiddenSize: 2,
  late: () => false,
  tick: async () => {},
  kept: "states" as const,
};
const own = (...ids: number[]) => ({ ids });
const text = (place: number, ...ids: number[]) => ({
  ids: Int32Array.from(ids),
  states: Float32Array.from(ids.flatMap((id) => [id, 100 * place])),
});

test("each ends at its end token or at the most tokens, and steps end with the last", async () => {
  const texts = new Counting();
  const made = await continueSideBySide(texts, [own(1, 10), own(96), own(98)], how);
  expect(made).toEqual([text(0, 11, 12, 13, 14, 15), text(1, 97, 98, 99), null]);
  expect(texts.steps).toBe(4);
});

test("fewer prompts than places, and what there is when the time is up", async () => {
  const texts = new Counting();
  const late = () => texts.steps >= 2;
  expect(await continueSideBySide(texts, [own(10)], { ...how, late })).toEqual([text(0, 11, 12, 13)]);
});

test("an interruption ends it before the next pass", async () => {
  const texts = new Counting();
  let ticks = 0;
  const tick = async () => {
    if (++ticks === 4) throw new Error("interrupted");
  };
  await expect(continueSideBySide(texts, [own(10), own(20)], { ...how, tick })).rejects.toThrow("interrupted");
  expect(texts.steps).toBe(1);
});

test("states before the norm where they are asked for, and a prompt that shares its first tokens says whose", async () => {
  const texts = new Counting();
  const shared = { ids: [1, 2, 20], like: { of: 0, shared: 2 } };
  const made = await continueSideBySide(texts, [own(1, 2, 3, 96), shared], { ...how, kept: "hidden" });
  expect(made[0]?.states).toEqual(Float32Array.from([98, 1, 99, 1, 100, 1]));
  expect(made[1]?.states.slice(0, 4)).toEqual(Float32Array.from([22, 101, 23, 101]));
  expect(texts.begun).toEqual([undefined, { place: 0, shared: 2 }]);
});

test("what an engine has read is held, and of it the last token alone is run", async () => {
  const texts = new Counting();
  const rows = { position: 0, count: 4, bytes: 0, parts: [] };
  const prompts = [own(1, 2), { ...own(10, 11, 12, 13), rows }, { ...own(10, 11), like: { of: 1, shared: 1 } }];
  const made = await continueSideBySide(texts, prompts, how);
  expect(texts.held).toEqual([{ place: 1, tokens: 4 }]);
  expect(texts.begun).toEqual([undefined, { place: 1, shared: 3 }, { place: 1, shared: 1 }]);
  expect(made[1]).toEqual(text(1, 14, 15, 16, 17, 18));
});
