/** Beyond the profile: lines drawn on, and plans that say so. */
import { describe, expect, test } from "vitest";
import { checkDocuments } from "../../src/check/check.js";
import { solver } from "../../src/pipeline/check/solver.js";
import { parseDocument, stringifyDocument } from "../../src/schema/document.js";
import { Plan } from "../../src/schema/plan.js";
import { extendProfile, openLatency, planDocument } from "../../src/solve/index.js";
import { makeCalibration, makeProfile } from "../support/documents.js";
import { expectFailure } from "../support/failure.js";

const profile = makeProfile();
const last = profile.grid.context_tokens[profile.grid.context_tokens.length - 1];
const before = profile.grid.context_tokens[profile.grid.context_tokens.length - 2];
const REF = { path: "profile.yaml", sha256: "0".repeat(64) };
const solve = (extrapolateTo?: number) =>
  planDocument(
    { profile, calibration: makeCalibration(), choices: ["int8", "skip"], extrapolateTo },
    { profile: REF, calibration: REF },
  );

describe("costs drawn on", () => {
  test("every part lies on the line through the last two profiled contexts", () => {
    const measured = openLatency(profile);
    const latency = openLatency(extendProfile(profile, 4 * last));
    for (const n of [last + 1, 2 * last, 4 * last])
      for (const choice of ["target", "int8"] as const) {
        const [a, b] = [before, last].map((at) => measured.blockUs(0, choice, at, 1));
        expect(latency.blockUs(0, choice, n, 1)).toBeCloseTo(b + ((b - a) * (n - last)) / (last - before), 6);
      }
  });

  test("what was profiled stays as it is", () => {
    const [measured, latency] = [openLatency(profile), openLatency(extendProfile(profile, 4 * last))];
    for (const n of [0, before, last - 1, last]) expect(latency.verifyUs(n, 3)).toBe(measured.verifyUs(n, 3));
  });

  test("a part that falls at the end of the profile stays level, and does not fall on", () => {
    const falling = structuredClone(profile);
    for (const point of falling.points) if (point.context_tokens === last) point.fixed_us = 1;
    const latency = openLatency(extendProfile(falling, 8 * last));
    expect(latency.fixedUs(8 * last, 1)).toBe(1);
  });

  test("beyond what was asked for is refused, and so is a line through one context", async () => {
    const latency = openLatency(extendProfile(profile, 2 * last));
    await expectFailure(() => latency.stepUs(2 * last + 1), "CONTEXT_OUT_OF_RANGE", /asked for/);
    const one = {
      ...profile,
      grid: { ...profile.grid, context_tokens: [last] },
      points: profile.points.filter((point) => point.context_tokens === last),
    };
    await expectFailure(() => extendProfile(one, 2 * last), "CONTEXT_OUT_OF_RANGE", /one context gives no line/);
  });
});

describe("a plan beyond the profile", () => {
  test("is the plan of what was profiled, with marked segments added", () => {
    const [plain, further] = [solve(), solve(4 * last)];
    const added = further.segments.slice(plain.segments.length);
    expect(further.segments.slice(0, plain.segments.length)).toEqual(plain.segments);
    expect(added.length).toBeGreaterThan(0);
    expect(added.every(({ extrapolated }) => extrapolated === true)).toBe(true);
    expect(added[0].context_tokens.from).toBe(last);
    expect(added[added.length - 1].context_tokens.to).toBe(4 * last);
    expect(further.extrapolated).toEqual({ beyond_context_tokens: last, to_context_tokens: 4 * last });
    expect(parseDocument(stringifyDocument(further), "plan.yaml")).toEqual(further);
  });

  test("is as without, where the profile reaches far enough", () => {
    expect(solve(last)).toEqual(solve());
  });

  test.each(["mark on a segment removed", "key removed", "another end"])("is no plan with its %s", (fault) => {
    const plan = solve(4 * last);
    if (fault === "key removed") delete plan.extrapolated;
    else if (fault === "another end") plan.extrapolated = { beyond_context_tokens: last, to_context_tokens: 8 * last };
    else delete plan.segments[plan.segments.length - 1].extrapolated;
    expect(Plan.safeParse(plan).success).toBe(false);
  });

  test("solved again by a check gives the same segments", () => {
    const { segments } = solve(4 * last);
    const by = { choices: ["int8", "skip"], method: "knapsack", constraints: undefined, extrapolateTo: 4 * last };
    expect(solver.solve(profile, makeCalibration(), by)).toEqual(segments);
  });

  test("has one finding of its own: the mark", () => {
    const { inputs: _, ...plan } = solve(4 * last);
    const checked = { file: "plan.yaml", document: plan, bytesSha256: "", contentSha256: () => "" };
    const open = () => ({ state: "missing", file: "" }) as const;
    const found = checkDocuments({ documents: [checked as never], open, solver, model: null });
    expect(found.map(({ code, severity }) => `${severity} ${code}`)).toEqual(["warning PLAN_EXTRAPOLATED"]);
  });
});
