import { median } from "simple-statistics";
import { describe, expect, test } from "vitest";
import { type DraftPolicy, decode } from "../../src/decode/loop.js";
import { uniformChoices } from "../../src/schema/choice.js";
import type { Interval } from "../../src/schema/common.js";
import { type ComparePoliciesOptions, comparePolicies, policyFigures } from "../../src/verify/index.js";
import { rotated } from "../../src/verify/interleave.js";
import { fakeEngine } from "../support/fake-model.js";
import { uniform } from "../support/numbers.js";
import { tableEngine } from "../support/table-engine.js";

const LAYERS = 3;
const drafting =
  (draftTokens: number): DraftPolicy =>
  () => ({ choices: uniformChoices(LAYERS, "int8"), draftTokens });
const plain: DraftPolicy = () => null;
const POLICIES = [plain, drafting(2), drafting(5)];
const NAMES = new Map(POLICIES.map((policy, i) => [policy, "ABC"[i]]));
const prompt = (length: number, first = 1) => ({
  name: `prompt of ${length}`,
  ids: Array.from({ length }, (_, i) => (first + 7 * i) % 50),
});
const SHORT = [prompt(3), prompt(4, 9)];
const LONG = [prompt(40), prompt(41, 5)];

function options(changes: Partial<ComparePoliciesOptions> = {}): ComparePoliciesOptions {
  const { engine, clock } = fakeEngine({ layers: LAYERS });
  const contexts = [SHORT, LONG].map((prompts) => ({ prompts, policies: POLICIES }));
  return { ...{ engine, clock, contexts, maxTokens: 20, endTokens: [], pairs: 3, limitUs: null }, ...changes };
}

/** Policies by letter and prompts by length, as they were decoded; lower case: not for the full number of tokens. */
function recorder(maxTokens = 20) {
  const order: string[] = [];
  const record: NonNullable<ComparePoliciesOptions["decode"]> = async (engine, ids, decodeOptions) => {
    const name = NAMES.get(decodeOptions.policy as DraftPolicy) ?? "?";
    order.push(`${decodeOptions.maxTokens < maxTokens ? name.toLowerCase() : name}${ids.length}`);
    return decode(engine, ids, decodeOptions);
  };
  return { order, record };
}

/** Times of a clock that does not begin at 0 differ in their last binary digits. */
const digits = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, one) => (typeof one === "number" ? Number(one.toPrecision(9)) : one)));

/** As a file keeps them. */
const keepAll =
  (kept: Map<number, string>): NonNullable<ComparePoliciesOptions["keep"]> =>
  async (visit, make) => {
    if (!kept.has(visit)) kept.set(visit, JSON.stringify(await make()));
    return JSON.parse(kept.get(visit) as string);
  };

describe("many plans by turns", () => {
  test("run A B C, B C A, C A B on one prompt after another, contexts by turns, each context warmed up once", async () => {
    const { order, record } = recorder();
    await comparePolicies(options({ decode: record }));
    const turns = (length: number, from: number) =>
      [0, 1, 2].flatMap((turn) => [0, 1, 2].map((i) => `${"ABC"[(from + turn + i) % 3]}${length}`)).join(" ");
    expect(order.join(" ")).toBe(
      ["a3 b3 c3", turns(3, 0), "a40 b40 c40", turns(40, 0), turns(4, 0), turns(41, 0)].join(" "),
    );
  });

  test.each([null, 1e9])(
    "go on after an interruption with the prompts that it left, time limit %s",
    async (limitUs) => {
      const kept = new Map<number, string>();
      const keep: ComparePoliciesOptions["keep"] = async (visit, make) => {
        const made = kept.get(visit) ?? JSON.stringify(await make());
        if (!kept.has(visit) && kept.size === 2) throw new Error("interrupted");
        kept.set(visit, made);
        return JSON.parse(made);
      };
      await expect(comparePolicies(options({ keep, limitUs }))).rejects.toThrow("interrupted");
      const { order, record } = recorder();
      const rest = { keep: keepAll(kept), limitUs, decode: record };
      const goneOn = await comparePolicies(options(rest));
      expect(digits(goneOn)).toEqual(digits(await comparePolicies(options({ limitUs }))));
      // each context is warmed up again, by a prompt that was not finished
      expect(order.slice(0, 3)).toEqual(["a4", "b4", "c4"]);
      expect(order.filter((run) => run === "A3")).toHaveLength(limitUs === null ? 0 : 2);
    },
  );

  test("count the time of an interrupted run as their own", async () => {
    const whole = await comparePolicies(options({ limitUs: 30_000 }));
    const kept = new Map<number, string>();
    await comparePolicies(options({ limitUs: 30_000, keep: keepAll(kept) }));
    const again = await comparePolicies(options({ limitUs: 30_000, keep: keepAll(kept) }));
    expect(digits(again)).toEqual(digits(whole));
    const visits = whole.flat().reduce((sum, { runs }) => sum + runs[0].length, 0);
    expect(visits).toBeLessThan(12); // or the limit was never met
  });

  test("read a prompt once for all their turns, beside the target's own output of it", async () => {
    const { engine, clock } = fakeEngine({ layers: LAYERS });
    await comparePolicies(options({ engine, clock }));
    for (const { ids } of [...SHORT, ...LONG])
      expect(engine.passes.filter(({ position, q }) => position === 0 && q === ids.length)).toHaveLength(2);
  });

  test("are timed exactly: a policy by turns takes what it takes alone", async () => {
    const { engine, clock } = fakeEngine({ layers: LAYERS });
    const found = await comparePolicies(options({ engine, clock }));
    for (const {
      prompt: { ids },
      runs,
    } of found.flat()) {
      for (const [i, turns] of runs.entries()) {
        const alone = await decode(engine, ids, { clock, maxTokens: 20, endTokens: [], policy: POLICIES[i] });
        expect(turns).toHaveLength(3);
        for (const run of turns) {
          expect(run.ids).toEqual(alone.ids);
          expect(run.decodeUs).toBeCloseTo(alone.decodeUs, 6);
        }
      }
    }
  });

  test("where time is limited meet every prompt once before any a second time, and end between turns", async () => {
    const { order, record } = recorder();
    const { engine, clock } = fakeEngine({ layers: LAYERS });
    let turns = 0;
    const found = await comparePolicies(
      options({ engine, clock, decode: record, pairs: 50, limitUs: 400_000, onTurns: () => turns++ }),
    );
    const timed = order.filter((name) => name === name.toUpperCase());
    expect(
      timed
        .slice(0, 12)
        .map((name) => name.slice(1))
        .join(" "),
    ).toBe("3 3 3 40 40 40 4 4 4 41 41 41");
    expect(timed).toHaveLength(3 * turns);
    const counts = found.flat().map(({ runs }) => runs.map((one) => one.length));
    for (const each of counts) expect(new Set(each).size).toBe(1);
    const [least, most] = [Math.min(...counts.flat()), Math.max(...counts.flat())];
    expect(most - least).toBeLessThanOrEqual(1);
    expect(most).toBeLessThan(50);
    expect(clock.nowUs()).toBeGreaterThanOrEqual(400_000);
  });

  test("judge every run: one wrong token in one run of one plan is that plan's, and no other's", async () => {
    let runs = 0;
    const wrong: NonNullable<ComparePoliciesOptions["decode"]> = async (engine, ids, decodeOptions) => {
      const decoded = await decode(engine, ids, decodeOptions);
      const isThird = decodeOptions.policy === POLICIES[2] && ids.length === 41 && ++runs === 2;
      return isThird ? { ...decoded, ids: decoded.ids.map((id, i) => (i === 6 ? (id + 1) % 50 : id)) } : decoded;
    };
    const found = await comparePolicies(options({ decode: wrong }));
    expect(
      found.map((turns) => turns.map(({ verdicts }) => verdicts.map(({ firstMismatch }) => firstMismatch))),
    ).toEqual([
      [
        [null, null, null],
        [null, null, null],
      ],
      [
        [null, null, null],
        [null, null, 6],
      ],
    ]);
    const figures = policyFigures(found[1], { plain: 0, baseline: 1 });
    expect(figures.map(({ lossless }) => lossless)).toEqual([true, true, false]);
  });

  describe("that draw their tokens", () => {
    // 10 for one token and 0 for 49 others: at this temperature nearly all are as likely
    const drawing = { filters: { temperature: 8 }, seed: 5 };

    test("each draw by a source of their own, the same every time, and go over end tokens", async () => {
      const endTokens = Array.from({ length: 50 }, (_, id) => id);
      const run = async () => (await comparePolicies(options({ drawing, endTokens }))).flat();
      const found = await run();
      const texts = found.flatMap(({ runs }) => runs.flat().map(({ ids }) => ids));
      expect(texts.map(({ length }) => length)).toEqual(texts.map(() => 20));
      expect(new Set(texts.map(String)).size).toBe(texts.length);
      expect((await run()).map(({ runs }) => runs.flat().map(({ ids }) => ids))).toEqual(
        found.map(({ runs }) => runs.flat().map(({ ids }) => ids)),
      );
    });

    test("are wrong where one of their tokens is none that the filters leave", async () => {
      // of the toy engine's tokens that leaves one
      const one = { filters: { temperature: 1, min_p: 0.5 }, seed: 5 };
      const right = (await comparePolicies(options({ drawing: one }))).flat();
      for (const { verdicts } of right)
        expect(verdicts.map(({ firstMismatch }) => firstMismatch)).toEqual([null, null, null]);
      const wrong: NonNullable<ComparePoliciesOptions["decode"]> = async (engine, ids, decodeOptions) => {
        const decoded = await decode(engine, ids, decodeOptions);
        if (decodeOptions.policy !== POLICIES[1]) return decoded;
        return { ...decoded, ids: decoded.ids.map((id, i) => (i === 4 ? (id + 1) % 50 : id)) };
      };
      for (const { verdicts } of (await comparePolicies(options({ drawing: one, decode: wrong }))).flat())
        expect(verdicts.map(({ firstMismatch }) => firstMismatch)).toEqual([null, 4, null]);
    });
  });

  test("with a penalty alone are held against the target's own output behind it", async () => {
    const table = () => ({ engine: tableEngine({ vocab: 50, seed: 4, layers: LAYERS, capacity: 80 }) });
    const found = (await comparePolicies(options({ ...table(), penalty: 4 }))).flat();
    const without = (await comparePolicies(options(table()))).flat();
    expect(found.map(({ reference }) => reference)).not.toEqual(without.map(({ reference }) => reference));
    for (const { reference, runs, verdicts } of found) {
      for (const { ids } of runs.flat()) expect(ids).toEqual(reference);
      expect(verdicts.every(({ firstMismatch }) => firstMismatch === null)).toBe(true);
    }
  });

  test("leave out prompts answered by a single token", async () => {
    const every = Array.from({ length: 50 }, (_, id) => id); // whatever comes first ends the output
    expect(await comparePolicies(options({ endTokens: every }))).toEqual([[], []]);
  });

  test("each come as often before any other as after it", () => {
    for (const count of [1, 2, 3, 7]) {
      const orders = Array.from({ length: count }, (_, first) => rotated(count, first));
      for (const order of orders) expect([...order].sort((a, b) => a - b)).toEqual(rotated(count, 0));
      const distance = (order: number[], one: number, other: number) => order.indexOf(other) - order.indexOf(one);
      for (let other = 1; other < count; other++)
        expect(orders.reduce((sum, order) => sum + distance(order, 0, other), 0)).toBe(0);
    }
  });
});

describe("their figures", () => {
  /** µs a token of made-up runs: a prompt's own pace, noise, and a factor for each policy. */
  const made = (prompts: number, turns: number, factors: readonly number[], random = uniform(3)) =>
    Array.from({ length: prompts }, (_, p) => ({
      prompt: prompt(3),
      reference: Array.from({ length: 5 + p }, () => 1),
      verdicts: factors.map(() => ({ ties: [], firstMismatch: null, worstMargin: 0 })),
      runs: factors.map((factor) =>
        Array.from({ length: turns }, () => {
          const us = 1000 * (1 + p) * factor * (1 + 0.1 * random());
          return {
            ids: Array.from({ length: 5 + p }, () => 1),
            finish: "length" as const,
            rounds: [],
            promptUs: 0,
            decodeUs: us * (4 + p),
          };
        }),
      ),
    }));

  test("are tokens over time and ratios in pairs, each prompt with its median", () => {
    const prompts = made(4, 3, [1, 0.5]);
    const [one, other] = policyFigures(prompts, { plain: 0, baseline: 1 });
    const us = (policy: number) =>
      prompts.map(({ runs }) => runs[policy].map((run) => run.decodeUs / (run.ids.length - 1)));
    const tokens = prompts.map(({ reference }) => reference.length - 1);
    let [total, time, plainTime, otherTime] = [0, 0, 0, 0];
    for (const [p, n] of tokens.entries()) {
      total += n;
      time += n * median(us(1)[p]);
      plainTime += n * median(us(0)[p]);
      otherTime += (n * median(us(0)[p])) / median(us(0)[p].map((u, k) => u / us(1)[p][k]));
    }
    expect(other.tokensPerSecond.median).toBeCloseTo((1e6 * total) / time, 6);
    expect(other.speedup.median).toBeCloseTo(plainTime / otherTime, 9);
    expect(one.baselineRatio.median).toBeCloseTo(plainTime / otherTime, 9);
    expect(other.usPerToken).toEqual(us(1));
  });

  test("have the interval of a thing against itself at exactly 1", () => {
    const [one, other] = policyFigures(made(4, 3, [1, 0.5]), { plain: 0, baseline: 1 });
    expect(one.speedup).toEqual({ median: 1, low: 1, high: 1 });
    expect(other.baselineRatio).toEqual({ median: 1, low: 1, high: 1 });
  });

  test("contain the estimate, and are narrower in pairs than apart where prompts differ", () => {
    const [, other] = policyFigures(made(6, 2, [1, 0.5]), { plain: 0, baseline: 0 });
    const width = ({ low, median: middle, high }: Interval) => {
      if (low === null || high === null) throw new Error("no interval");
      expect(low).toBeLessThanOrEqual(middle);
      expect(high).toBeGreaterThanOrEqual(middle);
      return (high - low) / middle;
    };
    expect(width(other.speedup)).toBeLessThan(width(other.tokensPerSecond) / 4);
  });
});
