import { expect, test } from "vitest";
import { type Timed, TimeTaken } from "../../src/verify/time-taken.js";

/** A clock that only work moves. */
function workingClock() {
  let us = 1000;
  return {
    nowUs: () => us,
    work:
      <Result>(takes: number, result: Result) =>
      async () => {
        us += takes;
        return result;
      },
  };
}

test("a part that is made now counts what it takes, and one that was kept what it took then", async () => {
  const clock = workingClock();
  const time = new TimeTaken(clock);
  expect(await time.of((make) => make(), clock.work(30, "made"))).toBe("made");
  expect(time.us).toBe(30);
  const kept: Timed<string> = { turns: "kept", us: 500 };
  expect(await time.of(async () => kept, clock.work(7, "never made"))).toBe("kept");
  expect(time.us).toBe(530);
  // a limit of 700 µs ends 170 from now
  expect(time.at(700)).toBe(clock.nowUs() + 170);
});

test("what is handed to be kept says how long it took", async () => {
  const clock = workingClock();
  const handed: Timed<unknown>[] = [];
  await new TimeTaken(clock).of(
    async (make) => {
      const made = await make();
      handed.push(made);
      return made;
    },
    clock.work(12, 5),
  );
  expect(handed).toEqual([{ turns: 5, us: 12 }]);
});
