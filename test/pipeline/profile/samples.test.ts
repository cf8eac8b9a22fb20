/** Samples of a sweep on disk: what is read back, what a crash leaves, what is refused. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { FileSamples, type SamplesHeader, UnkeptRounds } from "../../../src/pipeline/profile/samples.js";
import type { Observation } from "../../../src/profile/sweep/pass.js";
import { targetChoices, uniformChoices } from "../../../src/schema/choice.js";
import { expectFailure } from "../../support/failure.js";
import { temporaryFolder } from "../../support/tiny-checkpoint.js";

const LAYERS = 2;
const HEADER: SamplesHeader = {
  kind: "draftplan/samples",
  version: 1,
  model: { name: "tiny", layers: LAYERS, architecture_sha256: "a".repeat(64), weights_sha256: null },
  device: { processor: "some", provider: "cpu", threads: 2, runtime: "onnxruntime 1", platform: "linux x64" },
  kernels: { target: "fp32" },
  grid: { context_tokens: [64, 128], query_tokens: [1, 2], query_line: [1, 2] },
  seed: 1,
};

let path: string;
beforeEach(() => {
  path = join(temporaryFolder(), "samples.jsonl");
});

const observation = (round: number, visit: number): Observation => ({
  ...{ round, visit, context: 64, query: 1, us: 10 + round + visit / 8, passes: 3, head: visit % 2 === 0 },
  choices: visit % 2 === 0 ? targetChoices(LAYERS) : uniformChoices(LAYERS, "int8"),
});
const roundOf = (round: number) => [0, 1, 2].map((visit) => observation(round, visit));

function record(rounds: number): FileSamples {
  const samples = new FileSamples(path, HEADER);
  for (let round = samples.kept.rounds; round < rounds; round++)
    samples.record(round, roundOf(round), [10, 20 + round], 1000 * (round + 1));
  return samples;
}

/** What a file with so many rounds holds. */
function expectRounds(samples: FileSamples, rounds: number): void {
  const numbers = Array.from({ length: rounds }, (_, round) => round);
  expect(samples.kept).toEqual({
    rounds,
    observations: numbers.flatMap(roundOf),
    queryLines: numbers.map((round) => [10, 20 + round]),
    headsRounds: numbers.map(() => null),
    elapsedUs: 1000 * rounds,
  });
}

describe("samples", () => {
  test("keep the trees of rounds without heads", () => {
    const header: SamplesHeader = { ...HEADER, trees: true };
    const trees = { pairs: [{ context: 64, query: 2, chainUs: 10, treeUs: 11 }], passes: [] };
    new FileSamples(path, header).record(0, roundOf(0), [10, 20], 1000, trees);
    expect(new FileSamples(path, header).kept.headsRounds).toEqual([trees]);
  });

  test("of a deck of programs are not gone on with by passes of random choices, nor those by a deck", async () => {
    const queued: SamplesHeader = { ...HEADER, queued: true };
    new FileSamples(path, queued).record(0, roundOf(0), [10, 20], 1000, null);
    await expectFailure(() => new FileSamples(path, HEADER), "DOCUMENT_MISMATCH", /queued/);
    path = join(temporaryFolder(), "others.jsonl");
    record(1);
    await expectFailure(() => new FileSamples(path, queued), "DOCUMENT_MISMATCH", /queued/);
  });

  test("are read back as they were, and gone on with in the same file", () => {
    expect(record(2).keptText()).toContain("2 rounds are kept");
    expectRounds(new FileSamples(path, HEADER), 2);
    record(4);
    expectRounds(new FileSamples(path, HEADER), 4);
    expect(readFileSync(path, "utf8").split("\n")).toHaveLength(1 + 4 * 4 + 1);
  });

  test("of heads are read back by whoever measures the same heads, and passed over by others", () => {
    const own = { ...HEADER, heads: ["1".repeat(64)] };
    const round = {
      pairs: [{ context: 64, query: 2, chainUs: 20.5, treeUs: 21 }],
      passes: [{ heads: 0, depth: null, rows: 1, us: 3.5 }],
    };
    const samples = new FileSamples(path, own);
    samples.record(0, roundOf(0), [10, 20], 1000, round);
    samples.record(1, roundOf(1), [10, 21], 2000, round);
    expect(new FileSamples(path, own).kept.headsRounds).toEqual([round, round]);
    expectRounds(new FileSamples(path, HEADER), 2);
    expect(() => new FileSamples(path, { ...own, heads: ["2".repeat(64)] })).toThrow(
      expect.objectContaining({ code: "DOCUMENT_MISMATCH" }),
    );
  });

  test("of no finished round leave no file", () => {
    expect(new FileSamples(path, HEADER).keptText()).toBeNull();
    expect(existsSync(path)).toBe(false);
  });

  test("torn at any byte, keep the rounds that were finished before it, and can be gone on with", () => {
    record(3);
    const whole = readFileSync(path);
    const lines = whole.toString().split("\n");
    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.length }), (cut) => {
        writeFileSync(path, whole.subarray(0, cut));
        const complete = whole.subarray(0, cut).toString().split("\n").length - 1;
        const rounds = lines.slice(0, complete).filter((line) => line.includes("ended_round")).length;
        expectRounds(new FileSamples(path, HEADER), rounds);
        record(3);
        expect(readFileSync(path).equals(whole)).toBe(true);
      }),
      { seed: 3, numRuns: 60 },
    );
  });

  test.each([
    ["model", { model: { ...HEADER.model, architecture_sha256: "b".repeat(64) } }],
    ["device", { device: { ...HEADER.device, threads: 1 } }],
    ["grid", { grid: { ...HEADER.grid, query_tokens: [1, 3] } }],
    ["seed", { seed: 2 }],
  ])("of another %s are refused, and stay as they are", async (what, other) => {
    record(1);
    const before = readFileSync(path, "utf8");
    await expectFailure(() => new FileSamples(path, { ...HEADER, ...other }), "DOCUMENT_MISMATCH", new RegExp(what));
    expect(readFileSync(path, "utf8")).toBe(before);
  });

  test.each([
    ["one line", "my notes"],
    ["several lines", "my notes\nmore\n"],
    ["another document", '{"kind":"draftplan/profile"}\n'],
  ])("no other file is written over: %s", async (_, text) => {
    writeFileSync(path, text);
    await expectFailure(() => new FileSamples(path, HEADER), "DOCUMENT_INVALID", /line 1/);
    expect(readFileSync(path, "utf8")).toBe(text);
  });

  test("a line that cannot be read before finished rounds is named, and so is a missing round", async () => {
    record(2);
    const lines = readFileSync(path, "utf8").split("\n");
    writeFileSync(path, lines.with(2, "{").join("\n"));
    await expectFailure(() => new FileSamples(path, HEADER), "DOCUMENT_INVALID", /line 3/);
    writeFileSync(path, lines.toSpliced(4, 1).join("\n"));
    await expectFailure(() => new FileSamples(path, HEADER), "DOCUMENT_INVALID", /round 0 is missing/);
  });
});

describe("without a file", () => {
  class Interruption extends Error {
    override name = "Interruption";
  }
  const textAfter = (rounds: number, error: unknown) => {
    const unkept = new UnkeptRounds();
    for (let round = 0; round < rounds; round++) unkept.record(round);
    return unkept.keptText(error);
  };

  test("an interruption after a round names --samples; before the first one, and for an error, nothing was there to keep", () => {
    expect(textAfter(3, new Interruption("interrupted"))).toMatch(/^stopped after 3 rounds, .*--samples FILE/);
    expect(textAfter(1, new Interruption("interrupted"))).toMatch(/^stopped after 1 round, /);
    expect(textAfter(0, new Interruption("interrupted"))).toBeNull();
    expect(textAfter(3, new Error("the device failed"))).toBeNull();
  });
});
