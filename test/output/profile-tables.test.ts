import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { profileTables } from "../../src/output/profile-tables.js";
import { Profile } from "../../src/schema/profile.js";

test("KnapSpec's three constants are named beside each other, and the third is the mean MLP of a step", () => {
  const profile = Profile.parse(parse(readFileSync("profiles/union-10m.profile.yaml", "utf8")));
  const steps = profile.points.filter((point) => point.query_tokens === 1);
  const layers = steps.flatMap((point) => point.mlp_us.target ?? []);
  const c3 = layers.reduce((sum, us) => sum + us, 0) / layers.length;
  const line = profileTables(profile)
    .split("\n")
    .find((text) => text.includes("KnapSpec"));
  expect(line).toMatch(/target c1 -?[\d.]+ \+ c2 -?[\d.]+ n, R² [\d.]+, MLP c3 [\d.]+/);
  expect(Math.abs(Number(/target c1.*?MLP c3 ([\d.]+)/.exec(line ?? "")?.[1]) - c3)).toBeLessThanOrEqual(0.5); // printed in whole µs
});

test("attention over context is drawn in a line for each kernel, and the floor is said where it is known", () => {
  const profile = Profile.parse(parse(readFileSync("profiles/union-10m.profile.yaml", "utf8")));
  const drawn = profileTables(profile).split("\n");
  expect(drawn.filter((line) => /^(target|int8) +[▁▂▃▄▅▆▇█]{24}$/.test(line))).toHaveLength(2);
  expect(drawn.join("\n")).not.toContain("times the floor");
  const part = { part: "mlp", kernel: "target", floor_us: 10 } as const;
  const floor = {
    read_bytes_per_second: 20e9,
    kv_bytes_per_token: 512,
    parts: [
      { ...part, context_tokens: 64, times_floor: 2.04 },
      { ...part, context_tokens: 256, times_floor: 12.5 },
    ],
  };
  expect(profileTables({ ...profile, floor })).toMatch(/20\.0 GB\/s[^\n]*\n {2}target: MLP 2\.0 to 12\.5\n/);
});
