import { expect, test } from "vitest";
import { LatencyCorrection } from "../../../src/decode/adaptive/latency-correction.js";

const PRIOR = 6;
/** Σ of what k observations count for when the next one fades them by 1/32 */
const faded = (k: number) => (1 - (31 / 32) ** k) * 32;

test("passes that take as long as profiled change nothing", () => {
  const correction = new LatencyCorrection();
  for (let i = 0; i < 20; i++) correction.observeVerify(200, 200);
  expect([correction.verifyFactor, correction.plainFactor, correction.draftFactor("a")]).toEqual([1, 1, 1]);
});

test("a kind of passes that is slower by a fifth is drawn towards that, by as much as its rounds count against six", () => {
  const correction = new LatencyCorrection();
  for (let i = 0; i < 10; i++) correction.observeVerify(240, 200);
  expect(correction.verifyFactor).toBeCloseTo(1.2 ** (faded(10) / (faded(10) + PRIOR)), 12);
});

test("a pass that an interruption made a thousand times as long counts as 1.5 times, a short one as 1/1.5", () => {
  for (const [measured, counted] of [
    [200_000, 1.5],
    [0.2, 1 / 1.5],
  ]) {
    const correction = new LatencyCorrection();
    correction.observeVerify(measured, 200);
    expect(correction.verifyFactor).toBeCloseTo(counted ** (1 / (1 + PRIOR)), 12);
  }
});

test("a pass that has no time, or none expected, says nothing", () => {
  const correction = new LatencyCorrection();
  correction.observeVerify(0, 200);
  correction.observeDraft("a", 200, 0);
  expect([correction.verifyFactor, correction.draftFactor("a")]).toEqual([1, 1]);
});

test("what is not known of one kind is taken from the others: a draft's from all drafts, theirs from verifications", () => {
  const correction = new LatencyCorrection();
  for (let i = 0; i < 40; i++) correction.observeVerify(240, 200);
  const verify = correction.verifyFactor;
  expect([correction.plainFactor, correction.draftFactor("a")]).toEqual(
    [verify, verify].map((f) => expect.closeTo(f, 12)),
  );
  for (let i = 0; i < 40; i++) correction.observeDraft("a", 100, 125);
  const any = Math.exp((faded(40) * Math.log(0.8) + PRIOR * Math.log(verify)) / (faded(40) + PRIOR));
  expect(correction.draftFactor("b")).toBeCloseTo(any, 12);
  expect(correction.draftFactor("a")).toBeCloseTo(
    Math.exp((faded(40) * Math.log(0.8) + PRIOR * Math.log(any)) / (faded(40) + PRIOR)),
    12,
  );
});
