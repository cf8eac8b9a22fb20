import { expect, test } from "vitest";
import { memoryFloor } from "../../src/profile/floor.js";
import { Profile } from "../../src/schema/profile.js";
import { makeProfile } from "../support/documents.js";

const BYTES_PER_SECOND = 20e9;
const WEIGHTS = { attn: { target: 4e6, int8: 1e6 }, mlp: { target: 8e6, int8: 2e6 }, head: { target: 40e6 } };

test("a part's floor is what it reads over the bandwidth; attention reads keys and values too", () => {
  const profile = { ...makeProfile(), weight_bytes: WEIGHTS };
  const floor = memoryFloor(profile, 1000, BYTES_PER_SECOND);
  expect(floor).toMatchObject({ read_bytes_per_second: BYTES_PER_SECOND, kv_bytes_per_token: 1000 });
  const steps = profile.points.filter((point) => point.query_tokens === 1);
  for (const { context_tokens: n, attn_us, mlp_us, head_us } of steps) {
    const part = (name: string, kernel: string) =>
      floor.parts.find((one) => one.part === name && one.kernel === kernel && one.context_tokens === n);
    const mean = (us: readonly number[] = []) => us.reduce((a, b) => a + b, 0) / us.length;
    const attnUs = (4e6 + 1000 * n) / 20e3; // bytes over bytes per µs
    expect(part("attn", "target")?.floor_us).toBeCloseTo(attnUs, 1);
    expect(part("attn", "target")?.times_floor).toBeCloseTo(mean(attn_us.target) / attnUs, 2);
    expect(part("mlp", "int8")?.floor_us).toBe(100);
    expect(part("mlp", "int8")?.times_floor).toBeCloseTo(mean(mlp_us.int8) / 100, 2);
    expect(part("head", "target")?.times_floor).toBeCloseTo((head_us.target ?? 0) / 2000, 2);
    expect(part("head", "int8")).toBeUndefined();
  }
  expect(new Set(floor.parts.map((one) => one.context_tokens))).toEqual(new Set(steps.map((p) => p.context_tokens)));
});

test("a part whose cost drowned in noise is at 0, in a valid profile", () => {
  const profile = { ...makeProfile(), weight_bytes: WEIGHTS };
  for (const point of profile.points) point.head_us = { ...point.head_us, target: 0 };
  const floor = memoryFloor(profile, 1000, BYTES_PER_SECOND);
  expect(floor.parts.filter(({ part }) => part === "head").every(({ times_floor }) => times_floor === 0)).toBe(true);
  expect(Profile.parse({ ...profile, floor }).floor).toEqual(floor);
});
