/** evaluate on the bundled text, and of a simulated kernel, whose levels the model learns from that text first. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { draftplan } from "../support/cli.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

test("a simulated kernel: what a draft in it keeps, does and may cost", async () => {
  const profile = new URL("../../profiles/union-10m.profile.yaml", import.meta.url).pathname;
  const text = join(temporaryFolder(), "ids.json");
  writeFileSync(text, JSON.stringify(Array.from({ length: 40 }, (_, i) => 100 + ((i * 37) % 900))));
  const args = ["evaluate", "embedded", "--simulate", "oasis", "--ids", text, "--profile", profile];
  const { code, stdout, stderr } = await draftplan([...args, "--json"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const { simulated, ...found } = JSON.parse(stdout);
  expect(found.acceptance).toBeGreaterThan(0.6);
  expect(found.draft_top1).not.toEqual(found.target_top1);
  expect(simulated.kernel).toBe("oasis");
  expect(simulated.pays_below.map((one: { context_tokens: number }) => one.context_tokens)).toEqual([
    64, 256, 1024, 1920,
  ]);
  for (const { plain_us, draft, steps } of simulated.pays_below) {
    expect(draft.us).toBeLessThan(plain_us);
    expect(draft.ns_per_lookup).toBeCloseTo((1000 * draft.us) / simulated.operations.lookups, 9);
    expect(Object.keys(steps)).toEqual(["target", "int8"]);
  }
});

test("without --ids a short text that travels with the package is used", async () => {
  const { code, stdout } = await draftplan(["evaluate", "embedded", "--skip", "5.attn"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^positions +256 \(bundled text/m);
  expect(stdout).toMatch(/^acceptance +\d+\.\d % ± /m);
});
