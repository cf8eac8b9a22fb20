/** Mixtures of experts are timed on a text: what passes read of it, and what a profile makes of their times. */
import { expect, test } from "vitest";
import { memoryFloor } from "../../src/profile/floor.js";
import { profileModel } from "../../src/profile/profile.js";
import { timeDraftSteps } from "../../src/profile/sweep/draft-steps.js";
import { textTokens } from "../../src/profile/sweep/tokens.js";
import type { Engine } from "../../src/runtime/engine.js";
import { type ChoiceSet, targetChoices } from "../../src/schema/choice.js";
import { Profile } from "../../src/schema/profile.js";
import { makeProfile } from "../support/documents.js";
import { planted, plantedTimes } from "./support.js";

const LAYERS = 3;
const GRID = { contexts: [64, 128, 192], queries: [1, 2, 5], queryLine: [] };
const FREE = { budgetSeconds: 1e6, draws: 0, maxRounds: 8 };
/** one token asks for one of two experts, by whether its id is even; reading one takes so long */
const EXPERT_US = 500;
const EVEN = Array.from({ length: 600 }, (_, i) => (2 * ((7 * i) % 16)) % 32);

interface Seen {
  position: number;
  input: number[];
  choices: ChoiceSet;
}

/** A planted surface whose target MLPs take longer the more experts a pass asks for. */
function mixture() {
  const world = planted(LAYERS, plantedTimes(LAYERS, 0));
  const seen: Seen[] = [];
  const run: Engine["run"] = (pass) => {
    const { position, choices } = pass;
    const input = Array.from(pass.input as ArrayLike<number>);
    seen.push({ position, input, choices });
    const asked = new Set(input.map((id) => id % 2)).size;
    const mlps = choices.blocks.filter((choice, i) => i % 2 === 1 && choice === "target").length;
    world.clock.advance(mlps * asked * EXPERT_US);
    return world.engine.run(pass);
  };
  return {
    world,
    seen,
    engine: new Proxy(world.engine, { get: (of, key) => (key === "run" ? run : Reflect.get(of, key)) }),
  };
}

const mlpUs = (measured: Pick<Profile, "points">, query: number) =>
  measured.points.filter((point) => point.query_tokens === query).map(({ mlp_us }) => mlp_us.target?.[0] ?? 0);

test("the cache is filled by reading the text with the whole target, and passes go on through it", async () => {
  const { world, seen, engine } = mixture();
  await profileModel({ clock: world.clock, engine, ...GRID, ...FREE, text: EVEN });
  const target = targetChoices(LAYERS);
  const filled: number[] = [];
  for (const { position, input, choices } of seen) {
    if (position !== filled.length || filled.length >= 197) break;
    expect(choices).toEqual(target);
    filled.push(...input);
  }
  expect(filled).toEqual(EVEN.slice(0, 192 + 5));
  // whatever passes the sweep has, each begins behind the one before
  const swept = seen.slice(-60);
  const inText = (id: number, at: number) => EVEN[at % EVEN.length] === id;
  const starts = EVEN.map((_, at) => at).filter((at) =>
    swept.flatMap((s) => s.input).every((id, i) => inText(id, at + i)),
  );
  expect(starts.length).toBeGreaterThan(0);
});

test("an MLP takes as long as the experts that a text asks for, and longer on tokens at random", async () => {
  const onText = mixture();
  const measured = await profileModel({
    clock: onText.world.clock,
    engine: onText.engine,
    ...GRID,
    ...FREE,
    text: EVEN,
  });
  const random = mixture();
  const other = await profileModel({ clock: random.world.clock, engine: random.engine, ...GRID, ...FREE });
  // 400 µs of its own, growing by 4 % a token, and one expert; at random five tokens ask for both
  for (const us of mlpUs(measured, 1)) expect(us).toBeCloseTo(400 + EXPERT_US, -1);
  for (const us of mlpUs(measured, 5)) expect(us).toBeCloseTo(400 * 1.16 + EXPERT_US, -1);
  for (const us of mlpUs(other, 5)) expect(us).toBeCloseTo(400 * 1.16 + 2 * EXPERT_US, -1);
});

test("steps of another model are timed on the text too, and the target verifies what it drafted", async () => {
  const { world, seen, engine } = mixture();
  const text = Array.from({ length: 50 }, (_, i) => i % 32);
  await timeDraftSteps(engine, engine, "target", [64], world.clock, async () => {}, textTokens(text));
  expect(seen.slice(0, 5).map(({ input }) => input)).toEqual([[0, 1, 2, 3, 4], [0], [1], [2], [3]]);
  expect(seen.slice(5, 7).map(({ input }) => input)).toEqual([[5, 6, 7, 8, 9], [5]]);
});

test("a text is read from its beginning again behind its end", () => {
  const tokens = textTokens([1, 2, 3, 4, 5], 3);
  expect([tokens.next(4), tokens.next(1), tokens.next(7)]).toEqual([[4, 5, 1, 2], [3], [4, 5, 1, 2, 3, 4, 5]]);
});

test("the floor of a step is that of one token's experts", () => {
  const weights = { attn: { target: 4e6 }, mlp: { target: 80e6 }, head: { target: 40e6 } };
  const experts = { count: 8, per_token: 2, tokens: "text" } as const;
  const profile = Profile.parse({ ...makeProfile(), weight_bytes: weights, experts });
  const { parts } = memoryFloor(profile, 1000, 20e9);
  const mlps = parts.filter(({ part, kernel }) => part === "mlp" && kernel === "target");
  expect(mlps.length).toBeGreaterThan(0);
  for (const { floor_us } of mlps) expect(floor_us).toBe(1000); // 20e6 bytes at 20e9 a second
  const wrong = { ...profile, experts: { ...experts, per_token: 9 } };
  expect(Profile.safeParse(wrong).success).toBe(false);
});
