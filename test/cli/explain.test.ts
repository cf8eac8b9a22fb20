/** `draftplan explain` as a user runs it. */
import { appendFileSync, cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, test } from "vitest";
import { parseDocument } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import { PLAN, PROFILE } from "../check/support.js";
import { draftplan } from "../support/cli.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
  for (const name of ["profiles", "plans"]) cpSync(join(ROOT, name), join(folder, name), { recursive: true });
});

const explain = (...args: string[]) => draftplan(["explain", ...args], { cwd: folder });
const plan = () => parseDocument(readFileSync(join(folder, PLAN), "utf8"), PLAN) as Plan;

interface Explained {
  at_context: number;
  draft_us: number;
  blocks: { block: string; choice: string; cost_us: number; target_us: number; sure: number | null }[];
  twice_the_context: object | null;
}

describe("explain", () => {
  test("fits 80 columns, and says what the draft is, why, and what would change it", async () => {
    const { code, stdout, stderr } = await explain(PLAN);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(stdout).toMatch(/^At \d+ tokens of context: \d+ tokens drafted a round, with .*\n/);
    expect(stdout).toMatch(/% of drafted tokens are accepted .*\nDecoding is predicted to be \d\.\d\d times as fast/);
    expect(stdout).toMatch(/\nWith attention 10 % slower: /);
    expect(stdout).toMatch(/\nAt \d+ tokens of context: /);
  });

  test("--all lists every block in order; without it the others are summed up", async () => {
    const rows = (text: string) => [...text.matchAll(/^│ (\d+\.\w+|head) /gm)].map(([, block]) => block);
    const { layers } = plan().model;
    const every = Array.from({ length: layers }, (_, layer) => [`${layer}.attn`, `${layer}.mlp`]).flat();
    expect(rows((await explain(PLAN, "--all")).stdout)).toEqual([...every, "head"]);
    const { stdout } = await explain(PLAN);
    expect(rows(stdout).length).toBeLessThan(every.length);
    expect(stdout).toMatch(new RegExp(`The other ${every.length + 1 - rows(stdout).length} are `));
  });

  test("where the plan decodes plainly, the best draft known is named, and --json has the same keys", async () => {
    const skip = "plans/union-10m.plan-skip.yaml";
    const { code, stdout } = await explain(skip);
    expect(code).toBe(0);
    expect(stdout).toMatch(/the plan decodes plainly.*\nThe best draft known there .*\n? .*times as fast/);
    const [plain, drafting] = [
      JSON.parse((await explain(skip, "--json")).stdout),
      JSON.parse((await explain(PLAN, "--json")).stdout),
    ];
    expect(plain).toMatchObject({ speculate: false, draft: null, blocks: [], speedup: 1 });
    expect(Object.keys(plain)).toEqual(Object.keys(drafting));
  });

  test("--json has every block and the head, and their costs add up to the draft step but for the fixed part", async () => {
    const { stdout } = await explain(PLAN, "--json");
    const explained = JSON.parse(stdout) as Explained;
    const { layers } = plan().model;
    expect(explained.blocks).toHaveLength(2 * layers + 1);
    const predicted = plan().segments.flatMap((segment) => segment.predicted ?? [])[0];
    expect(explained.at_context).toBe(predicted.at_context);
    expect(explained.draft_us / predicted.draft_us).toBeCloseTo(1, 4);
    const sum = explained.blocks.reduce((total, { cost_us }) => total + cost_us, 0);
    expect(sum).toBeLessThan(explained.draft_us);
    for (const { choice, cost_us, target_us, sure } of explained.blocks) {
      expect(choice === "skip" ? cost_us : 0).toBe(0);
      expect(target_us).toBeGreaterThan(0);
      if (sure !== null) expect(sure).toBeGreaterThanOrEqual(0);
    }
  });

  test("past half of the profiled contexts nothing is said of twice as many", async () => {
    const [last] = plan().segments.slice(-1);
    const at = last.context_tokens.to - 1;
    const { stdout } = await explain(PLAN, "--at", String(at), "--json");
    expect((JSON.parse(stdout) as Explained).twice_the_context).toBeNull();
  });

  test("a changed or missing input, and a context without a draft, are refused", async () => {
    const outside = await explain(PLAN, "--at", "900000");
    expect(outside.code).toBe(2);
    expect(outside.stderr).toMatch(/says nothing of a context of 900000 tokens/);
    expect((await explain("plans/union-10m.by-hand.plan.yaml")).stderr).toMatch(
      /INPUTS_MISSING.*inputs\n.*does not say/,
    );
    appendFileSync(join(folder, PROFILE), "# edited\n");
    expect((await explain(PLAN)).stderr).toMatch(/DIGEST_MISMATCH/);
    rmSync(join(folder, PROFILE));
    expect(await explain(PLAN)).toMatchObject({ code: 3, stdout: "", stderr: expect.stringMatching(/INPUTS_MISSING/) });
  });
});
