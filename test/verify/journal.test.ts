/** The journal of a verification: what an interrupted run leaves, and when it is gone on with. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { buildVerification, type VerificationRequest } from "../../src/pipeline/verify/document.js";
import { FileJournal, journalHeader, journalPath } from "../../src/pipeline/verify/journal.js";
import type { Verification } from "../../src/schema/verification.js";
import { expectFailure } from "../support/failure.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";
import { digest, fake, plan, promptsOf, speculating } from "./support.js";

type Request = Omit<VerificationRequest, "journal">;

/** A fake of exact times: an interruption must not change a figure. */
function request(changes: Partial<Request> = {}): Request {
  const { engine, clock } = fake(0.3);
  return {
    loaded: {
      engine,
      ref: { name: "fake", layers: 3, architecture_sha256: digest, weights_sha256: digest },
    },
    plan: plan(speculating(0, 512, 4)),
    planRef: { path: "plan.yaml", sha256: "a".repeat(64) },
    prompts: promptsOf(9, 30, 50, 20),
    device: { processor: "test", provider: "cpu", threads: 1, runtime: "fake 1", platform: "test" },
    alternatives: true,
    maxTokens: 24,
    pairs: 2,
    created: new Date(0),
    clock,
    ...changes,
  };
}

function watched() {
  const warnings: string[] = [];
  const warn = (code: string, message: string) => void warnings.push(`${code}: ${message}`);
  return { warnings, progress: { tick: async () => {}, warn } };
}

/** Interrupted once `prompts` prompts are in the journal. */
async function interrupted(path: string, prompts: number, changes: Partial<Request> = {}): Promise<void> {
  const wanted = request(changes);
  const { progress } = watched();
  const journal = new FileJournal(path, journalHeader(wanted), wanted.prompts, progress);
  const stop = new Error("stop");
  const tick = async () => {
    if (journal.finished.size >= prompts) throw stop;
  };
  await expect(buildVerification({ ...wanted, journal }, { ...progress, tick })).rejects.toBe(stop);
}

async function goneOn(path: string, changes: Partial<Request> = {}) {
  const wanted = request(changes);
  const { warnings, progress } = watched();
  const journal = new FileJournal(path, journalHeader(wanted), wanted.prompts, progress);
  const taken = [...journal.finished.keys()];
  const verification = await buildVerification({ ...wanted, journal }, progress);
  return { verification, taken, warnings, journal };
}

const freshPath = () => journalPath(join(temporaryFolder(), "v.yaml"));
const uninterrupted = (): Promise<Verification> => buildVerification(request());
const lines = (path: string) => readFileSync(path, "utf8").split("\n");

describe("after an interruption", () => {
  test("the finished prompts are not run again, and every figure is as without it", async () => {
    const path = freshPath();
    await interrupted(path, 2);
    const { verification, taken, warnings } = await goneOn(path);
    expect({ taken, warnings }).toEqual({ taken: [0, 1], warnings: [] });
    expect(verification).toEqual({ ...(await uninterrupted()), resumed: 1 });
  });

  test("and a second one, it says that it was gone on with twice", async () => {
    const path = freshPath();
    await interrupted(path, 1);
    await interrupted(path, 3);
    const { verification, taken } = await goneOn(path);
    expect(taken).toEqual([0, 1, 2]);
    expect(verification).toEqual({ ...(await uninterrupted()), resumed: 2 });
  });

  test("that a further run added nothing to does not count twice", async () => {
    const path = freshPath();
    await interrupted(path, 1);
    await interrupted(path, 1);
    expect((await goneOn(path)).verification.resumed).toBe(1);
  });

  test("with all prompts finished nothing is run", async () => {
    const path = freshPath();
    const first = await goneOn(path);
    expect(existsSync(path)).toBe(true);
    const engine = fake(0.3);
    const again = await goneOn(path, {
      loaded: { engine: engine.engine, ref: request().loaded.ref },
      clock: engine.clock,
    });
    expect(engine.engine.passes).toHaveLength(0);
    expect(again.verification).toEqual({ ...first.verification, resumed: 1 });
  });

  test("thresholds may change: they decide, and measure nothing", async () => {
    const path = freshPath();
    await interrupted(path, 2);
    const { taken, verification } = await goneOn(path, { thresholds: { minSpeedup: 100 } });
    expect(taken).toEqual([0, 1]);
    expect(verification.decided).toEqual({ min_speedup: 100, failed: ["min_speedup"] });
  });

  test.each([0, 1, 17, -2])("a last line torn at %i characters is dropped, and the file mended", async (kept) => {
    const path = freshPath();
    await interrupted(path, 2);
    const [header, first, second] = lines(path);
    writeFileSync(path, `${header}\n${first}\n${second.slice(0, kept)}`);
    const { taken, warnings, verification } = await goneOn(path);
    expect({ taken, warnings }).toEqual({ taken: [0], warnings: [] });
    expect(verification).toEqual({ ...(await uninterrupted()), resumed: 1 });
    const mended = lines(path);
    expect(mended).toHaveLength(6); // header, four prompts, the end of the last line
    for (const line of mended.slice(0, -1)) expect(() => JSON.parse(line)).not.toThrow();
  });
});

describe("a journal that does not fit is ignored, with a warning that says why", () => {
  const { device } = request();
  const cases: { name: string; changes: Partial<Request>; why: string }[] = [
    { name: "plan", changes: { planRef: { path: "plan.yaml", sha256: "b".repeat(64) } }, why: "plan" },
    { name: "prompts", changes: { prompts: promptsOf(9, 30, 50, 21) }, why: "prompts" },
    { name: "tokens", changes: { maxTokens: 25 }, why: "max_tokens" },
    { name: "pairs", changes: { pairs: 3 }, why: "pairs" },
    { name: "alternatives", changes: { alternatives: false }, why: "alternatives" },
    { name: "device", changes: { device: { ...device, threads: 2 } }, why: "device" },
    {
      name: "model",
      changes: {
        loaded: { ...request().loaded, ref: { ...request().loaded.ref, name: "other" } },
      },
      why: "model",
    },
  ];
  test.each(cases)("$name", async ({ changes, why }) => {
    const path = freshPath();
    await interrupted(path, 2);
    const wanted = request(changes);
    const { warnings, progress } = watched();
    const journal = new FileJournal(path, journalHeader(wanted), wanted.prompts, progress);
    expect(journal.finished.size).toBe(0);
    expect(journal.resumed).toBe(0);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(new RegExp(`^JOURNAL_IGNORED: .*another ${why}$`));
  });

  test("draftplan's version", async () => {
    const path = freshPath();
    await interrupted(path, 1);
    writeFileSync(path, readFileSync(path, "utf8").replace(/"draftplan":"[^"]*"/, '"draftplan":"0.0.0"'));
    const { warnings, verification } = await goneOn(path);
    expect(warnings).toEqual([expect.stringMatching(/JOURNAL_IGNORED.*another versions$/)]);
    expect(verification).toEqual(await uninterrupted());
  });

  test.each([
    { name: "no header", spoil: (text: string) => text.slice(5), why: "header" },
    { name: "nothing", spoil: () => "", why: "header" },
    { name: "a null", spoil: () => "null\n", why: "header" },
    {
      name: "a broken line that is not the last",
      spoil: (text: string) => text.replace('"prompt":0', '"prompt":"0"'),
      why: "line 2",
    },
    {
      name: "a run that is not there",
      spoil: (text: string) => {
        const [header, first, ...rest] = text.split("\n");
        const line = JSON.parse(first) as { plain: unknown[] };
        return [header, JSON.stringify({ ...line, plain: line.plain.slice(1) }), ...rest].join("\n");
      },
      why: "line 2",
    },
    {
      name: "a prompt that is not there",
      spoil: (text: string) => text.replace('"prompt":0', '"prompt":4'),
      why: "line 2",
    },
  ])("$name", async ({ spoil, why }) => {
    const path = freshPath();
    await interrupted(path, 2);
    writeFileSync(path, spoil(readFileSync(path, "utf8")));
    const { taken, warnings } = await goneOn(path);
    expect(taken).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining(why)]);
  });

  test("and written anew from the first prompt on", async () => {
    const path = freshPath();
    await interrupted(path, 3);
    await interrupted(path, 1, { pairs: 1 });
    expect((await goneOn(path, { pairs: 1 })).taken).toEqual([0]);
  });
});

describe("the file", () => {
  test("is not there before a prompt is finished, and gone after discard", async () => {
    const path = freshPath();
    const wanted = request();
    const journal = new FileJournal(path, journalHeader(wanted), wanted.prompts, watched().progress);
    expect({ kept: journal.kept(), there: existsSync(path) }).toEqual({ kept: null, there: false });
    journal.discard(); // nothing to remove is no fault
    await buildVerification({ ...wanted, journal });
    expect(journal.kept()).toContain(`4 of 4 prompts are kept in ${path}`);
    journal.discard();
    expect(existsSync(path)).toBe(false);
  });

  test("holds no text of a prompt", async () => {
    const path = freshPath();
    await interrupted(path, 1, { prompts: [{ name: "a secret", ids: [1, 2, 3] }, ...promptsOf(9)] });
    expect(readFileSync(path, "utf8")).not.toContain("secret");
  });

  test("that cannot be written is an error, before more is measured", async () => {
    const path = freshPath();
    mkdirSync(path);
    await expectFailure(() => goneOn(path), "FILE_UNWRITABLE", path);
  });
});
