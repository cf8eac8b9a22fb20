import { describe, expect, test } from "vitest";
import type { DraftPolicy } from "../../src/decode/loop.js";
import { decode } from "../../src/decode/loop.js";
import { uniformChoices } from "../../src/schema/choice.js";
import { type SideBySideOptions, sideBySide } from "../../src/verify/index.js";
import { fakeEngine } from "../support/fake-model.js";

const LAYERS = 3;
const drafting =
  (draftTokens: number): DraftPolicy =>
  () => ({ choices: uniformChoices(LAYERS, "int8"), draftTokens });
const plain: DraftPolicy = () => null;
const PROMPTS = [
  { name: "first", ids: [1, 2, 3] },
  { name: "second", ids: [4, 5, 6, 7, 8] },
];

function options(changes: Partial<SideBySideOptions> = {}, slots = 4): SideBySideOptions {
  const { engine, clock } = fakeEngine({ layers: LAYERS });
  return {
    ...{ engine, clock, prompts: PROMPTS, maxTokens: 24, endTokens: [] },
    baseline: plain,
    candidate: drafting(3),
    enough: (taken) => taken.length >= slots,
    ...changes,
  };
}

describe("two plans side by side", () => {
  test("take turns, and each prompt is met in both orders", async () => {
    const order: string[] = [];
    const baseline: DraftPolicy = () => null;
    const recording: SideBySideOptions["decode"] = async (engine, prompt, decodeOptions) => {
      order.push(`${decodeOptions.policy === baseline ? "A" : "B"}${prompt.length}`);
      return decode(engine, prompt, decodeOptions);
    };
    const { slots } = await sideBySide(options({ baseline, decode: recording }));
    expect(order.slice(0, 4)).toEqual(["A3", "B3", "A5", "B5"]); // judged, not timed
    expect(order.slice(4).join(" ")).toBe("A3 B3 A3 B3 B5 A5 B5 A5 B3 A3 B3 A3 A5 B5 A5 B5");
    expect(slots.map(({ prompt }) => prompt)).toEqual([0, 1, 0, 1]);
  });

  test("are timed exactly: the rounds' µs a token, without the prompt's pass", async () => {
    const { engine, clock } = fakeEngine({ layers: LAYERS });
    const { slots } = await sideBySide(options({ engine, clock }));
    for (const { prompt, baselineUs, candidateUs } of slots) {
      const expected = async (policy: DraftPolicy) => {
        const decoded = await decode(engine, PROMPTS[prompt].ids, { clock, maxTokens: 24, endTokens: [], policy });
        return decoded.decodeUs / 23;
      };
      for (const us of baselineUs) expect(us).toBeCloseTo(await expected(plain), 6);
      for (const us of candidateUs) expect(us).toBeCloseTo(await expected(drafting(3)), 6);
    }
  });

  test("read the prompt once a slot, and decode the same from it as from scratch", async () => {
    const outputs: string[][] = [[], []];
    const recording: SideBySideOptions["decode"] = async (engine, prompt, decodeOptions) => {
      const decoded = await decode(engine, prompt, decodeOptions);
      outputs[decodeOptions.prefilled === undefined ? 0 : 1].push(`${prompt.length}: ${decoded.ids.join()}`);
      return decoded;
    };
    const { engine, clock } = fakeEngine({ layers: LAYERS });
    await sideBySide(options({ engine, clock, decode: recording }));
    expect(outputs[0]).toHaveLength(4); // judged: two prompts, two plans
    expect(outputs[1]).toHaveLength(16);
    expect(new Set(outputs[1])).toEqual(new Set(outputs[0]));
    // the reference and two judged runs of each prompt, and one for each of its two slots
    for (const { ids } of PROMPTS)
      expect(engine.passes.filter(({ position, q }) => position === 0 && q === ids.length)).toHaveLength(5);
  });

  test("of the same plan take the same time on a machine without noise", async () => {
    const { slots, mismatches } = await sideBySide(options({ baseline: drafting(3) }));
    expect(mismatches).toEqual([]);
    for (const { baselineUs, candidateUs } of slots)
      for (const [i, us] of candidateUs.entries()) expect(us).toBeCloseTo(baselineUs[i], 6);
  });

  test("measuring ends when it is told to, by count or by time", async () => {
    expect((await sideBySide(options({}, 7))).slots).toHaveLength(7);
    const elapsed: number[] = [];
    const { slots } = await sideBySide(
      options({ enough: (_, elapsedUs) => elapsed.push(elapsedUs) > 0 && elapsedUs > 150_000 }),
    );
    expect(slots).toHaveLength(elapsed.length);
    expect(elapsed.at(-1)).toBeGreaterThan(150_000);
    expect(elapsed.at(-2) ?? 0).toBeLessThanOrEqual(150_000);
  });

  test("a plan whose output is not the target's own is named, with the prompt and the token", async () => {
    const wrong: SideBySideOptions["decode"] = async (engine, prompt, decodeOptions) => {
      const decoded = await decode(engine, prompt, decodeOptions);
      if (decodeOptions.policy === plain || prompt.length !== 5) return decoded;
      return { ...decoded, ids: decoded.ids.map((id, i) => (i === 6 ? (id + 1) % 50 : id)) };
    };
    const { mismatches } = await sideBySide(options({ decode: wrong }));
    expect(mismatches).toEqual([{ plan: "candidate", prompt: "second", token: 6 }]);
  });

  test("prompts answered by a single token have nothing to time", async () => {
    const { engine, clock } = fakeEngine({ layers: LAYERS });
    const every = Array.from({ length: 50 }, (_, id) => id); // whatever comes first ends the output
    expect((await sideBySide(options({ engine, clock, endTokens: every }))).slots).toEqual([]);
  });
});
