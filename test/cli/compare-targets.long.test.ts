/** compare --targets as a user runs it, on the embedded model. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseDocument } from "../../src/schema/document.js";
import type { TargetComparison } from "../../src/schema/targets/document.js";
import { draftplan } from "../support/cli.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const folder = temporaryFolder();
const QUICK = ["--max-tokens", "8", "--pairs", "1", "--context", "64", "--refine", "0", "--threads", "1"];

test("targets times drafters: every way lossless for its own target, what each loses, and the answer", async () => {
  const output = join(folder, "t.yaml");
  const args = ["--targets", "int8,int4", "--drafters", "self,lookup,heads", "-o", output];
  const { code, stdout } = await draftplan(["compare", "embedded", ...QUICK, ...args], { cwd: folder });
  expect(code).toBe(0);
  expect(stdout).toContain("At context 64 the fastest lossless way is ");
  const document = parseDocument(readFileSync(output, "utf8"), output) as TargetComparison;
  expect(document.lossless).toBe(true);
  expect(document.targets.map(({ target }) => target)).toEqual(["fp32", "int8", "int4"]);
  const [fp32, int8, int4] = document.targets;
  expect(fp32).toMatchObject({ perplexity_ratio: { median: 1 }, agreement: { median: 1 } });
  // 8 bits keep nearly every likeliest token, 4 bits fewer
  expect(int8.agreement.median).toBeGreaterThan(0.95);
  expect(int4.agreement.median).toBeLessThan(int8.agreement.median);
  expect(int8.weight_bytes).toBeLessThan(fp32.weight_bytes / 3);
  const ways = document.contexts[0].ways.map(({ target, drafter }) => `${target} ${drafter}`);
  expect(ways).toEqual([
    "fp32 none", // the reference was not asked for
    ...["int8", "int4"].flatMap((target) =>
      ["none", "self", "lookup", "heads"].map((drafter) => `${target} ${drafter}`),
    ),
  ]);
  expect(readFileSync(output, "utf8")).not.toContain("/heads");
  for (const verb of [
    ["inspect", output],
    ["check", output],
    ["report", output, "-o", join(folder, "t.html")],
  ])
    expect((await draftplan(verb, { cwd: folder })).code).toBe(0);
  expect(readFileSync(join(folder, "t.html"), "utf8")).toContain("What each target loses");
});
