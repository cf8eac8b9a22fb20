/** What bench/peers makes of the decodings it took, and its peers in processes of their own. No peer is needed for either. */
import { describe, expect, test } from "vitest";
import { type Row, type Run, rowsOf, tableOf, type Way } from "../../bench/peers/results.mjs";
import { Worker } from "../../bench/peers/worker.mjs";

const run = (ids: number[], msPerToken: number, more: Partial<Run> = {}): Run => ({
  ...{ n: 30, number: 0, ids, promptMs: 100, timedTokens: 4, decodeMs: 4 * msPerToken },
  ...more,
});
const way = (name: string, kind: string, precision: string, runs: Run[]): Way => ({
  ...{ name, version: "1", way: kind, precision, runs },
});
const PROMPTS = [[[7, 8], [9]]];

describe("rows of figures", () => {
  const own = way("draftplan fp32", "plain", "fp32", [run([1, 2, 3], 10), run([4, 5, 6], 30, { number: 1 })]);
  const plan = way("draftplan fp32", "plan", "fp32", [run([1, 2, 3], 5), run([4, 5, 6], 10, { number: 1 })]);
  const other = way("other", "plain", "fp32", [run([1, 2, 9], 20), run([4, 0, 6], 20, { number: 1 })]);
  const coarse = way("coarse", "plain", "Q4_1", [run([8, 8, 8], 1)]);
  const coarseLookup = way("coarse", "lookup", "Q4_1", [run([8, 8, 1], 2, { acceptance: 0.5 })]);
  const ways = [own, plan, other, coarse, coarseLookup];
  const asked: unknown[] = [];
  const rows = rowsOf(ways, [30], PROMPTS, async (text, pair) => {
    asked.push([text, pair]);
    return text.length === 4 ? 0.0005 : 0.5;
  });
  const rowOf = async (name: string, kind: string): Promise<Row> => {
    const found = (await rows).find((row) => row.peer === name && row.way === kind);
    if (found === undefined) throw new Error(`no row ${name} ${kind}`);
    return found;
  };

  test("speed is the median over decodings, and a gain that of pairs of the same prompt", async () => {
    expect(await rowOf("draftplan fp32", "plain")).toMatchObject({ ms_per_token: 20, times_own_plain: null });
    expect(await rowOf("draftplan fp32", "plan")).toMatchObject({ ms_per_token: 7.5, times_own_plain: 2.5 });
    expect(await rowOf("coarse", "lookup")).toMatchObject({ times_own_plain: 0.5, acceptance: 0.5 });
  });

  test("outputs are compared within a precision, and where they part the fp32 target is asked once each", async () => {
    expect(await rowOf("draftplan fp32", "plan")).toMatchObject({ output: { equal: 2, ties: 0, other: 0 } });
    const { output, output_of } = await rowOf("other", "plain");
    expect({ output, output_of }).toEqual({
      ...{ output: { equal: 0, ties: 1, other: 1 }, output_of: "draftplan fp32, plain" },
    });
    // behind the prompt and what both wrote before they part
    expect(asked).toEqual([
      [
        [7, 8, 1, 2],
        [3, 9],
      ],
      [
        [9, 4],
        [5, 0],
      ],
    ]);
    // nobody can say of another precision whether it is a tie
    expect((await rowOf("coarse", "lookup")).output).toEqual({ equal: 0, ties: 0, other: 1 });
  });

  test("the table names every row's precision, what failed and who was not there", async () => {
    const machine = { load_average: [0.5], plain_of: "draftplan fp32", plain_ms_per_token: 20 };
    const failed = await rowsOf([{ ...plan, runs: [], failed: "out of memory" }], [30], PROMPTS, async () => null);
    const lines = tableOf({
      ...{ device: { cpu: "a CPU" }, threads: 2, tokens: 3, sweeps: 1, seconds: 4, before: machine, after: machine },
      ...{ rows: [...(await rows), ...failed], absent: [{ peer: "third", why: "not installed" }] },
    }).split("\n");
    for (const text of ["2.50x", "Q4_1", "1 part at a tie, 1 part", "failed: out of memory", "third was left out: not"])
      expect(lines.join("\n")).toContain(text);
    expect(lines.filter((line) => line.includes("fp32 ")).length).toBeGreaterThan(3);
  });
});

describe("a peer in a process of its own", () => {
  const peer = (script: string) => new Worker("peer", [process.execPath, "-e", script, "--"], { threads: 2 });
  const ECHO = `
    const say = (value) => console.log(JSON.stringify(value));
    say({ version: "1", ways: [], options: JSON.parse(process.argv.at(-1)) });
    require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
      const { what } = JSON.parse(line);
      if (what === "die") { console.error("no memory left"); process.exit(3); }
      say(what === "fail" ? { error: "no such way" } : { what });
    });`;

  test("is told its options, answers in order, and one that fails goes on", async () => {
    const worker = peer(ECHO);
    expect(await worker.ready()).toMatchObject({ version: "1", options: { threads: 2 } });
    const answers = await Promise.allSettled(["a", "fail", "b"].map((what) => worker.ask({ what })));
    expect(
      answers.map((answer) => (answer.status === "fulfilled" ? answer.value.what : String(answer.reason))),
    ).toEqual([...["a", "Error: peer: no such way", "b"]]);
    await worker.close();
  });

  test("says why it is not there, or how it ended", async () => {
    const absent = peer(`console.log('{"absent":"not installed"}')`);
    expect(await absent.ready()).toEqual({ absent: "not installed" });
    await absent.close();
    expect((await new Worker("peer", ["/no/such/program"], {}).ready()).absent).toMatch(/ENOENT/);
    const dying = peer(ECHO);
    await dying.ready();
    await expect(dying.ask({ what: "die" })).rejects.toThrow(/ended with 3: no memory left/);
    await expect(dying.ask({ what: "a" })).rejects.toThrow(/ended with 3/);
    await dying.close();
  });
});
