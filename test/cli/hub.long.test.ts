/** `hf:OWNER/NAME` on the command line, against a hub of the tests' own. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { draftplan } from "../support/cli.js";
import { COMMIT, filesOf, startHub, type TestHub } from "../support/hub.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const MODEL = "hf:Some-Org/Tiny_1";
let hub: TestHub;
let env: Record<string, string>;
beforeAll(async () => {
  const files = filesOf(writeTinyCheckpoint(join(temporaryFolder(), "made")));
  hub = await startHub({ repository: "Some-Org/Tiny_1", files });
  env = { HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: temporaryFolder(), HF_TOKEN: "", HF_HUB_OFFLINE: "" };
});
afterAll(() => hub.close());

describe("a model on the hub", () => {
  test("is inspected by its name and commit, and without the hub once it is there", async () => {
    const { code, stdout, stderr } = await draftplan(["inspect", MODEL, "--json"], { env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({ name: "Some-Org/Tiny_1", revision: COMMIT, layers: 2 });
    const again = await draftplan(["inspect", `${MODEL}@main`, "--json"], { env: { ...env, HF_HUB_OFFLINE: "1" } });
    expect(JSON.parse(again.stdout).weights_sha256).toBe(JSON.parse(stdout).weights_sha256);
  });

  test("names files and documents", async () => {
    const cwd = temporaryFolder();
    const budget = ["--context", "16,32", "--query", "1,2", "--budget", "1", "--threads", "1"];
    const { code, stderr } = await draftplan(["profile", MODEL, ...budget], { env, cwd });
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(readdirSync(join(cwd, "profiles"))).toEqual(["Some-Org-Tiny_1.profile.yaml"]);
    const { model } = parse(readFileSync(join(cwd, "profiles/Some-Org-Tiny_1.profile.yaml"), "utf8"));
    expect(model).toMatchObject({ name: "Some-Org/Tiny_1", revision: COMMIT });
  });

  test("that is not there is exit code 3, and a text that begins with hf: is a text", async () => {
    const { code, stderr, stdout } = await draftplan(["generate", "hf:Some-Org/Other", "--prompt", MODEL], { env });
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toMatch(/HUB_NOT_FOUND.*hf:Some-Org\/Other/);
  });

  test("may draft, named alone or in a list", async () => {
    const drafter = ["generate", "embedded", "--prompt", "Once", "--drafter", `model:${MODEL}`];
    expect((await draftplan(drafter, { env })).stderr).toMatch(/^error \[[A-Z_]+\] \S*snapshots.\w{40}/m);
    const list = ["calibrate", "embedded", "--drafters", "self,model:hf:Some-Org/Other"];
    expect((await draftplan(list, { env })).stderr).toMatch(/HUB_NOT_FOUND.*hf:Some-Org\/Other/);
  });

  test("ends with Ctrl-C at once, also while the hub says nothing, and leaves what came", async () => {
    const cache = temporaryFolder();
    hub.stallAfter = 3000;
    const part = () =>
      (existsSync(cache) ? readdirSync(cache, { recursive: true, encoding: "utf8" }) : []).some((name) =>
        name.endsWith(".incomplete"),
      );
    const { code } = await draftplan(["inspect", MODEL], {
      env: { ...env, HF_HUB_CACHE: cache },
      during(child) {
        const timer = setInterval(() => {
          if (!part()) return;
          clearInterval(timer);
          setTimeout(() => child.kill("SIGINT"), 200);
        }, 20);
        child.once("close", () => clearInterval(timer));
      },
    });
    hub.stallAfter = null;
    expect(code).toBe(130);
    expect(part()).toBe(true);
  });
});

test.each([["inspect"], ["evaluate", "--skip", "0.mlp"], ["generate", "--prompt", "Once"], ["calibrate"]])(
  "%s OWNER/NAME that is no path is told what to write",
  async (verb, ...options) => {
    const { code, stderr } = await draftplan([verb, "Some-Org/Tiny_1", ...options], { cwd: temporaryFolder() });
    expect(code).toBe(3);
    expect(stderr).toMatch(/FILE_NOT_FOUND[\s\S]*hf:Some-Org\/Tiny_1/);
  },
);
