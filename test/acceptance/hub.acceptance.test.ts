/** The Hugging Face cache as huggingface_hub (Python) sees it: what each has filled, the other reads. */
import { realpathSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { resolveModel } from "../../src/model/hub/resolve.js";
import type { HubSettings } from "../../src/model/hub/settings.js";
import { COMMIT, filesOf, startHub, type TestHub } from "../support/hub.js";
import { runPython, unlessPackages } from "../support/python.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const REPOSITORY = "some-org/tiny";
const python = unlessPackages("a cache shared with huggingface_hub", "huggingface_hub");

describe.skipIf(python.skip)(python.title, () => {
  let hub: TestHub;
  const settingsFor = (cache: string): HubSettings => ({ cache, endpoint: hub.endpoint, token: null, offline: false });
  beforeAll(async () => {
    hub = await startHub({
      repository: REPOSITORY,
      files: filesOf(writeTinyCheckpoint(join(temporaryFolder(), "made"))),
    });
  });
  afterAll(() => hub.close());

  const files = ["config.json", "model.safetensors"];
  const job = (cache: string, offline: boolean) => ({
    repository: REPOSITORY,
    endpoint: hub.endpoint,
    cache,
    files,
    offline,
  });
  interface Seen {
    paths: string[];
    commits: string[];
    references: string[];
    warnings: string[];
  }

  test("what draftplan has filled it finds, without a network", async () => {
    const cache = temporaryFolder();
    const folder = await resolveModel(`hf:${REPOSITORY}`, undefined, settingsFor(cache));
    const seen = await runPython<Seen>("hub_cache.py", job(cache, true));
    expect(seen).toEqual({
      paths: files.map((name) => join(folder, name)),
      commits: [COMMIT],
      references: ["main"],
      warnings: [],
    });
  });

  test("what it has filled draftplan finds, and downloads nothing", async () => {
    const cache = temporaryFolder();
    const { paths } = await runPython<Seen>("hub_cache.py", job(cache, false));
    hub.asked.length = 0;
    const folder = await resolveModel(`hf:${REPOSITORY}`, undefined, settingsFor(cache));
    expect(files.map((name) => realpathSync(join(folder, name)))).toEqual(paths.map((path) => realpathSync(path)));
    expect(hub.asked).toEqual([`GET /api/models/${REPOSITORY}/revision/main`]);
    expect(await resolveModel(`hf:${REPOSITORY}`, undefined, { ...settingsFor(cache), offline: true })).toBe(folder);
  });
});
