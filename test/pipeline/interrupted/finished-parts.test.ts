/** What an interrupted run or compare had finished: what it leaves, and when it is gone on from. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FinishedParts, type PartsOptions, type PartsTask } from "../../../src/pipeline/interrupted/finished-parts.js";
import { verifiedPrompts } from "../../../src/pipeline/interrupted/verified-prompts.js";
import type { Plan } from "../../../src/schema/plan.js";
import { verifyPlans } from "../../../src/verify/index.js";
import { expectFailure } from "../../support/failure.js";
import { temporaryFolder } from "../../support/tiny-checkpoint.js";
import { fake, plan, promptsOf, speculating } from "../../verify/support.js";

const TASK: PartsTask = { command: "run", model: { name: "m" }, pairs: 2 };
const MINUTE = 60_000;
const fresh = () => join(temporaryFolder(), "plan.yaml");
const kept = (document: string) => `${document}.partial.jsonl`;

function opened(document: string, task: PartsTask = TASK, options: PartsOptions = {}) {
  const notes: string[] = [];
  const warnings: string[] = [];
  const note = (text: string) => void notes.push(text);
  const progress = {
    tick: async () => {},
    warn: (code: string, text: string) => void warnings.push(`${code}: ${text}`),
  };
  const parts = new FinishedParts(document, task, { note, progress }, options);
  return { parts, notes, warnings, context: { note } };
}

const never = () => Promise.reject(new Error("made once more"));

async function left(document: string, now = 0): Promise<void> {
  const { parts } = opened(document, TASK, { now: () => now });
  await parts.take("profile", async () => ({ us: 1 / 3, blocks: ["int8"] }));
  await parts.take("prompt 1 of x", async () => null);
}

describe("after an interruption", () => {
  test("what was finished is not made again, number for number, and said in one line with its age", async () => {
    const document = fresh();
    await left(document);
    const { parts, notes, warnings } = opened(document, TASK, { now: () => 12 * MINUTE });
    expect(await parts.take("profile", never)).toEqual({ us: 1 / 3, blocks: ["int8"] });
    expect(await parts.take<null>("prompt 1 of x", never)).toBeNull();
    expect(await parts.take("calibration", async () => 5)).toBe(5);
    expect(warnings).toEqual([]);
    expect(notes).toEqual([
      `going on after profile (12 minutes old) and 1 prompt, which an interrupted run finished (${kept(document)}; --fresh begins anew)`,
    ]);
  });

  test("every part is on the disk before the next begins, and the work that fails says what is kept", async () => {
    const document = fresh();
    const { parts, notes, context } = opened(document);
    const failed = parts.through(context, async () => {
      await parts.take("profile", async () => 1);
      await parts.take("losses", async () => {
        expect(readFileSync(kept(document), "utf8").split("\n")).toHaveLength(3);
        throw new Error("stop");
      });
    });
    await expect(failed).rejects.toThrow("stop");
    expect(notes).toEqual([`profile is kept in ${kept(document)}; the same command goes on from there`]);
  });

  test("nothing is left once all is done, and a later run begins anew without a word", async () => {
    const document = fresh();
    await left(document);
    opened(document).parts.discard();
    expect(existsSync(kept(document))).toBe(false);
    const { parts, notes } = opened(document);
    expect(await parts.take("profile", async () => 2)).toBe(2);
    expect(notes).toEqual([]);
  });

  test("what the user asks to begin anew begins anew", async () => {
    const document = fresh();
    await left(document);
    const { parts, notes } = opened(document, TASK, { fresh: true });
    expect({ profile: parts.find("profile"), notes, there: existsSync(kept(document)) }).toEqual({
      ...{ profile: undefined, notes: [], there: false },
    });
  });

  test.each([1, 30, -2])("a last line torn at %i characters is dropped", async (at) => {
    const document = fresh();
    await left(document);
    const [header, first, second] = readFileSync(kept(document), "utf8").split("\n");
    writeFileSync(kept(document), `${header}\n${first}\n${second.slice(0, at)}`);
    const { parts, warnings } = opened(document);
    expect({ first: parts.find("profile"), second: parts.find("prompt 1 of x"), warnings }).toEqual({
      ...{ first: { us: 1 / 3, blocks: ["int8"] }, second: undefined, warnings: [] },
    });
    parts.record("losses", 1);
    expect(readFileSync(kept(document), "utf8").split("\n")).toHaveLength(4);
  });
});

describe("what does not fit is not gone on from, and the warning says why", () => {
  const cases: [string, PartsTask, string][] = [
    ["another model", { ...TASK, model: { name: "n" } }, "another model"],
    ["other options", { ...TASK, pairs: 3 }, "another pairs"],
    ["an option more", { ...TASK, refine: 1 }, "another refine"],
    ["another command", { ...TASK, command: "compare" }, "another command"],
  ];
  test.each(cases)("%s", async (_, task, why) => {
    const document = fresh();
    await left(document);
    const { parts, notes, warnings } = opened(document, task);
    expect(parts.find("profile")).toBeUndefined();
    expect({ notes, warnings }).toEqual({
      notes: [],
      warnings: [expect.stringMatching(`^JOURNAL_IGNORED: .* is not gone on from, .*: it was made with ${why}$`)],
    });
  });

  test.each([
    ["a line in the middle", (lines: string[]) => lines.with(1, "{"), "line 2 is not readable"],
    ["the header", (lines: string[]) => lines.with(0, "?"), "its first line is not a header"],
  ])("%s is broken", async (_, broken, why) => {
    const document = fresh();
    await left(document);
    writeFileSync(kept(document), broken(readFileSync(kept(document), "utf8").split("\n")).join("\n"));
    expect(opened(document).warnings).toEqual([expect.stringContaining(why)]);
  });
});

test.skipIf(process.platform === "win32").each(["-", "/dev/null"])(
  "beside %s nothing is kept (skipped on Windows)",
  async (document) => {
    const { parts } = opened(document);
    expect(await parts.take("profile", async () => 1)).toBe(1);
    expect(existsSync(kept(document))).toBe(false);
    expect(parts.kept()).toBeNull();
  },
);

test("a disk that takes nothing is an error that names the file", async () => {
  const document = join(fresh(), "no", "plan.yaml");
  writeFileSync(join(document, "..", ".."), "a file where a folder should be");
  await expectFailure(() => opened(document).parts.record("profile", 1), "FILE_UNWRITABLE", "partial.jsonl");
});

describe("prompts that several plans were verified on", () => {
  const prompts = promptsOf(9, 30, 50, 20);
  const plans: Plan[] = [plan(speculating(0, 512, 4)), plan(speculating(0, 512, 2))];
  const settings = { prompts, maxTokens: 24, pairs: 2, alternatives: [] };
  const asked = plans.map((each) => ({ plan: each, planPath: "plan.yaml" }));

  test("are not run again, and every figure is as without the interruption", async () => {
    const document = fresh();
    const stop = new Error("stop");
    const first = verifiedPrompts(opened(document).parts, prompts, plans);
    const record = (index: number, runs: Parameters<typeof first.record>[1]) => {
      first.record(index, runs);
      if (index === 1) throw stop;
    };
    const journal = { ...first, record };
    await expect(verifyPlans({ ...fake(0.3), ...settings, journal }, asked)).rejects.toBe(stop);

    const { parts, notes } = opened(document);
    expect(notes).toEqual([expect.stringMatching("^going on after 2 prompts, which")]);
    const goneOn = fake(0.3);
    const results = await verifyPlans(
      { ...goneOn, ...settings, journal: verifiedPrompts(parts, prompts, plans) },
      asked,
    );
    const whole = fake(0.3);
    const uninterrupted = await verifyPlans({ ...whole, ...settings }, asked);
    expect(results).toEqual(uninterrupted.map((one) => ({ ...one, resumed: 1 })));
    expect(goneOn.engine.passes.length).toBeLessThan(whole.engine.passes.length);
  });

  test("with other plans are run anew", async () => {
    const { parts } = opened(fresh());
    verifiedPrompts(parts, prompts, plans).record(0, []);
    expect(verifiedPrompts(parts, prompts, plans).finished.size).toBe(1);
    expect(verifiedPrompts(parts, prompts, plans.slice(1)).finished.size).toBe(0);
    expect(verifiedPrompts(parts, prompts.slice(1), plans).finished.size).toBe(0);
  });
});
