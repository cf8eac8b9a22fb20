/**
 * Whoever drafts, texts begin as often as the target alone would begin them: every filter by itself and together, against
 * the chances of all texts of three tokens. In a long run 20,000 texts each; bench/sampling.mjs draws 200,000.
 */
import { describe, expect, test } from "vitest";
import { upperGamma } from "../../../src/stats/chi-square.js";
import { deviationOf, everyDrafter, FILTERS, TEMPERATURES, VOCAB } from "../../support/drawn-texts.js";
import { LONG, trials } from "../../support/long.js";
import { tableEngine } from "../../support/table-engine.js";

const DRAWS = Number(process.env.DRAFTPLAN_DRAWS ?? trials(500, 20_000));
const NAMES = everyDrafter(tableEngine({ vocab: VOCAB, seed: 1 }), 1).map(([name]) => name);
/** standard normal: one of all that a long run looks at is beyond it once in a thousand runs, by chance */
const MOST = 4.3;

test("all distributions of a long run together raise a false alarm once in a thousand runs at most", () => {
  const chanceBeyond = upperGamma(0.5, MOST ** 2 / 2) / 2;
  expect(NAMES).toEqual(expect.arrayContaining(FORMS));
  expect(NAMES.length * TEMPERATURES.length * FILTERS.length * chanceBeyond).toBeLessThanOrEqual(0.001);
});

/** Forms of a drafter that is there with all filters: every draw costs time. */
const FORMS = ["lookup from several places", "self with siblings"];
const FORM_DRAWS = Number(process.env.DRAFTPLAN_DRAWS ?? trials(500, 6_000));

describe.each(NAMES)("%s", (name) => {
  const isForm = FORMS.includes(name);
  const cases = TEMPERATURES.flatMap((temperature, t) =>
    FILTERS.map((filters, f) => ({ filters: { ...filters, temperature }, seed: 10 * t + f })),
  ).filter((_, i) => (LONG && !isForm) || i === 5 || (LONG && i === 10));
  test.each(cases)("%j", async ({ filters, seed }) => {
    const engine = tableEngine({ vocab: VOCAB, seed });
    const [, drafter] = everyDrafter(engine, seed).find(([kind]) => kind === name) ?? [];
    if (drafter === undefined) throw new Error(`no drafter ${name}`);
    expect(await deviationOf(engine, drafter, filters, isForm ? FORM_DRAWS : DRAWS, seed)).toBeLessThan(MOST);
  });
});

/** A draft that can never draw most tokens: they come from what is left of the target's distribution. */
describe("self with a short head", () => {
  const cases = FILTERS.map((filters, i) => ({ ...filters, temperature: TEMPERATURES[i % 2] }));
  test.each(cases.filter((_, i) => LONG || i === 5))("%j", async (filters) => {
    const engine = tableEngine({ vocab: VOCAB, seed: 31, short: 6 });
    const [, self] = everyDrafter(engine, 31).find(([kind]) => kind === "self") ?? [];
    if (self === undefined) throw new Error("no drafter self");
    expect(await deviationOf(engine, self, filters, DRAWS, 31)).toBeLessThan(MOST);
  });
});
