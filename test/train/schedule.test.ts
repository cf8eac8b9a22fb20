/** Along which the step size falls: steps, or time where that is up before them. */
import { expect, test } from "vitest";
import { scheduleShare } from "../../src/train/schedule.js";

test.each([
  { name: "time enough: steps alone", step: 0.5, time: 0.4, begun: 0, share: 0.5 },
  { name: "exactly enough", step: 0.5, time: 0.5, begun: 0, share: 0.5 },
  { name: "half the steps will be done when the time is up", step: 0.25, time: 0.5, begun: 0, share: 0.5 },
  { name: "the first steps, whatever they took", step: 0.01, time: 0.3, begun: 0, share: 0.01 },
  { name: "gone on with, time enough", step: 0.7, time: 0.2, begun: 0.6, share: 0.7 },
  { name: "gone on with, and time for half of what is left", step: 0.7, time: 0.5, begun: 0.6, share: 0.8 },
  { name: "the end", step: 0.3, time: 1, begun: 0, share: 1 },
])("$name", ({ step, time, begun, share }) => {
  expect(scheduleShare(step, time, begun)).toBeCloseTo(share, 12);
});
