/** Models by their names on a hub: a hub of the tests' own, and caches in temporary folders. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { Progress } from "../../../src/core/progress.js";
import { snapshotOf } from "../../../src/model/hub/reference.js";
import { resolveModel } from "../../../src/model/hub/resolve.js";
import { type HubSettings, hubSettings } from "../../../src/model/hub/settings.js";
import { openCheckpoint } from "../../../src/model/open.js";
import { expectFailure, failureOf } from "../../support/failure.js";
import { COMMIT, etagOf, filesOf, type HubBehaviour, startHub, type TestHub } from "../../support/hub.js";
import { temporaryFolder, writeTinyCheckpoint } from "../../support/tiny-checkpoint.js";

const REPOSITORY = "Some-Org/Tiny.Llama_1";
const FOLDER = "models--Some-Org--Tiny.Llama_1";
const hubs: TestHub[] = [];
afterEach(async () => {
  for (const hub of hubs.splice(0)) await hub.close();
});

const checkpoint = (shards = 1): Map<string, Buffer> =>
  filesOf(writeTinyCheckpoint(join(temporaryFolder(), "made"), { seed: 3, hidden: 64, intermediate: 256, shards }));

async function hubWith(behaviour: Partial<HubBehaviour> = {}): Promise<{ hub: TestHub; settings: HubSettings }> {
  const hub = await startHub({ repository: REPOSITORY, files: checkpoint(), ...behaviour });
  hubs.push(hub);
  return { hub, settings: { cache: temporaryFolder(), endpoint: hub.endpoint, token: null, offline: false } };
}

/** Ticks that are counted, with what they were told; `until` throws as an interruption would. */
function watching(until: (done: number) => boolean = () => false) {
  const updates: { stage?: string; done?: number; total?: number }[] = [];
  const warnings: string[] = [];
  let ticks = 0;
  const progress: Progress = {
    async tick(update) {
      if (update !== undefined) updates.push(update);
      if (until(++ticks)) throw new Error("interrupted");
    },
    warn: (code) => warnings.push(code),
  };
  return { progress, updates, warnings };
}

const resolve = (settings: HubSettings, reference = `hf:${REPOSITORY}`, progress?: Progress) =>
  resolveModel(reference, progress, settings);

describe("a model by its name", () => {
  test("lies in the cache as Hugging Face's own tools lay it out", async () => {
    const { hub, settings } = await hubWith();
    hub.files.set("README.md", Buffer.from("not wanted"));
    hub.files.set("pytorch_model.bin", Buffer.from("not wanted"));
    const folder = await resolve(settings);
    const place = join(settings.cache, FOLDER);
    expect(folder).toBe(join(place, "snapshots", COMMIT));
    expect(readFileSync(join(place, "refs", "main"), "utf8")).toBe(COMMIT);
    const wanted = ["config.json", "model.safetensors"];
    expect(readdirSync(folder).sort()).toEqual(wanted);
    for (const name of wanted) {
      const bytes = hub.files.get(name) as Buffer;
      expect(readlinkSync(join(folder, name))).toBe(`../../blobs/${etagOf(name, bytes)}`);
      expect(readFileSync(join(folder, name)).equals(bytes)).toBe(true);
    }
    expect(readdirSync(join(place, "blobs")).length).toBe(2);
  });

  test("is called OWNER/NAME, with the commit as its revision", async () => {
    const { settings } = await hubWith();
    const opened = await openCheckpoint(await resolve(settings));
    opened.close();
    expect(opened.spec.name).toBe(REPOSITORY);
    expect(opened.revision).toBe(COMMIT);
  });

  test("in shards comes with all that its index names, and tokenizer and template beside", async () => {
    const files = checkpoint(3);
    const beside = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"];
    for (const name of beside) files.set(name, Buffer.from("{}"));
    files.set("other.safetensors", Buffer.from("not wanted"));
    const { settings } = await hubWith({ files });
    const folder = await resolve(settings);
    files.delete("other.safetensors");
    expect(readdirSync(folder).sort()).toEqual([...files.keys()].sort());
    (await openCheckpoint(folder)).close();
  });

  test("is asked for once: what is there is not asked for again, and a commit not at all", async () => {
    const { hub, settings } = await hubWith();
    hub.files.set("tokenizer.json", Buffer.from("{}"));
    const folder = await resolve(settings);
    hub.asked.length = 0;
    expect(await resolve(settings)).toBe(folder);
    expect(hub.asked).toEqual([`GET /api/models/${REPOSITORY}/revision/main`]);
    expect(await resolve(settings, `hf:${REPOSITORY}@${COMMIT}`)).toBe(folder);
    expect(hub.asked.length).toBe(1);
  });

  test("by its commit is asked for where another tool has left out the tokenizer", async () => {
    const { hub, settings } = await hubWith();
    const folder = await resolve(settings);
    hub.files.set("tokenizer.json", Buffer.from("{}"));
    expect(await resolve(settings, `hf:${REPOSITORY}@${COMMIT}`)).toBe(folder);
    expect(readdirSync(folder)).toContain("tokenizer.json");
  });

  test.each(["v1", "refs/pr/1"])("by revision %s leaves a reference of that name", async (revision) => {
    const { settings } = await hubWith();
    await resolve(settings, `hf:${REPOSITORY}@${revision}`);
    expect(readFileSync(join(settings.cache, FOLDER, "refs", revision), "utf8")).toBe(COMMIT);
  });

  test("from a hub that knows no HEAD", async () => {
    const { hub, settings } = await hubWith({ knowsHead: false });
    expect(readdirSync(await resolve(settings))).toContain("model.safetensors");
    expect(hub.asked.some((line) => line.startsWith("HEAD"))).toBe(true);
  });

  test("gets the token for the hub alone, not for where its files lie", async () => {
    const { hub, settings } = await hubWith({ token: "hf_secret" });
    await resolve({ ...settings, token: "hf_secret" });
    expect(hub.withToken.length).toBeGreaterThan(3);
    expect(hub.withToken).not.toContain("/model.safetensors");
  });

  test("also where only another server says what a file is", async () => {
    const { hub, settings } = await hubWith({ saysLinked: false });
    const folder = await resolve({ ...settings, token: "hf_secret" });
    (await openCheckpoint(folder)).close();
    expect(hub.asked).toContain("HEAD /model.safetensors");
    expect(hub.withToken).not.toContain("/model.safetensors");
  });

  test("what is no hf: name is given back", async () => {
    const { hub, settings } = await hubWith();
    for (const path of ["embedded", "some/folder", "model.gguf"]) expect(await resolve(settings, path)).toBe(path);
    expect(hub.asked).toEqual([]);
  });
});

describe("without a network", () => {
  test("what is cached is used, and that is said", async () => {
    const { hub, settings } = await hubWith();
    const folder = await resolve(settings);
    await hub.close();
    const { progress, warnings } = watching();
    expect(await resolve(settings, undefined, progress)).toBe(folder);
    expect(warnings).toEqual(["HUB_OFFLINE"]);
  });

  test("with HF_HUB_OFFLINE nothing is asked", async () => {
    const { hub, settings } = await hubWith();
    const folder = await resolve(settings);
    hub.asked.length = 0;
    expect(await resolve({ ...settings, offline: true })).toBe(folder);
    await expectFailure(
      () => resolve({ ...settings, offline: true }, `hf:${REPOSITORY}@v2`),
      "HUB_UNREACHABLE",
      "OFFLINE",
    );
    expect(hub.asked).toEqual([]);
  });

  test.each([
    ["model.safetensors", 1],
    ["model-00002-of-00003.safetensors", 3],
    ["config.json", 1],
  ])("a snapshot without %s is not whole", async (name, shards) => {
    const { hub, settings } = await hubWith({ files: checkpoint(shards) });
    const place = join(settings.cache, FOLDER);
    const snapshot = join(place, "snapshots", COMMIT);
    for (const folder of [snapshot, join(place, "refs")]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(place, "refs", "main"), `${COMMIT}\n`);
    for (const [file, bytes] of hub.files) if (file !== name) writeFileSync(join(snapshot, file), bytes);
    const offline = { ...settings, offline: true };
    await expectFailure(() => resolve(offline), "HUB_UNREACHABLE", "cache");
    writeFileSync(join(snapshot, name), hub.files.get(name) as Buffer);
    expect(await resolve(offline)).toBe(snapshot);
  });

  test("nothing cached", async () => {
    const { hub, settings } = await hubWith();
    await hub.close();
    const failure = await failureOf(() => resolve(settings));
    expect(failure.code).toBe("HUB_UNREACHABLE");
    expect(failure.message).toMatch(/127\.0\.0\.1.*ECONNREFUSED/);
    expect(failure.remedy).toMatch(/HF_HOME/);
  });
});

describe("a download that ends early", () => {
  const partOf = (hub: TestHub, { cache }: HubSettings) => {
    const bytes = hub.files.get("model.safetensors") as Buffer;
    return { bytes, part: join(cache, FOLDER, "blobs", `${etagOf("model.safetensors", bytes)}.incomplete`) };
  };

  test("by a broken connection goes on where it was", async () => {
    const { hub, settings } = await hubWith({ breakAfter: [1000, 500] });
    const folder = await resolve(settings);
    const { bytes, part } = partOf(hub, settings);
    expect(readFileSync(join(folder, "model.safetensors")).equals(bytes)).toBe(true);
    expect(existsSync(part)).toBe(false);
    const ranges = hub.asked.filter((line) => line.includes("GET /model.safetensors"));
    expect(ranges).toEqual(["", " bytes=1000-", " bytes=1500-"].map((range) => `GET /model.safetensors${range}`));
  });

  test("is begun anew by a server that knows no ranges, and what is there is passed over", async () => {
    const { hub, settings } = await hubWith({ breakAfter: [1000], knowsRanges: false });
    const folder = await resolve(settings);
    expect(readFileSync(join(folder, "model.safetensors")).equals(partOf(hub, settings).bytes)).toBe(true);
  });

  test("by an interruption leaves a part, which the next one takes up", async () => {
    const { hub, settings } = await hubWith({ stallAfter: 5000 });
    const { bytes, part } = partOf(hub, settings);
    const there = () => existsSync(part) && lstatSync(part).size === 5000;
    const { progress } = watching(there);
    await expect(resolve(settings, undefined, progress)).rejects.toThrow("interrupted");
    expect(readFileSync(part).equals(bytes.subarray(0, 5000))).toBe(true);
    expect(existsSync(join(settings.cache, FOLDER, "refs", "main"))).toBe(false);
    hub.stallAfter = null;
    hub.asked.length = 0;
    const folder = await resolve(settings);
    expect(hub.asked).toContain("GET /model.safetensors bytes=5000-");
    expect(readFileSync(join(folder, "model.safetensors")).equals(bytes)).toBe(true);
  });

  test("a part of something else is found out by the digest, and the next download begins anew", async () => {
    const { hub, settings } = await hubWith();
    const { bytes, part } = partOf(hub, settings);
    mkdirSync(join(settings.cache, FOLDER, "blobs"), { recursive: true });
    writeFileSync(part, "something else");
    await expectFailure(() => resolve(settings), "HUB_INVALID", "digest");
    expect(existsSync(part)).toBe(false);
    expect(readFileSync(join(await resolve(settings), "model.safetensors")).equals(bytes)).toBe(true);
  });

  test("two at a time make the same files", async () => {
    const { hub, settings } = await hubWith({ breakAfter: [4000, 7000] });
    const [one, other] = await Promise.all([resolve(settings), resolve(settings)]);
    expect(one).toBe(other);
    expect(readFileSync(join(one, "model.safetensors")).equals(partOf(hub, settings).bytes)).toBe(true);
  });

  test("bytes that were altered on the way are refused", async () => {
    const { settings } = await hubWith({ corrupt: true });
    await expectFailure(() => resolve(settings), "HUB_INVALID", "digest");
    expect(existsSync(join(settings.cache, FOLDER, "snapshots", COMMIT, "model.safetensors"))).toBe(false);
  });
});

describe("what a hub refuses", () => {
  test.each([
    [{ status: 401, code: "GatedRepo" }, "HUB_ACCESS", /gated/],
    [{ status: 403, code: "GatedRepo" }, "HUB_ACCESS", /gated/],
    [{ status: 403 }, "HUB_ACCESS", /gated/],
    [{ status: 401 }, "HUB_ACCESS", /private or gated/],
    [{ status: 404, code: "RepoNotFound" }, "HUB_NOT_FOUND", /no such model/],
    [{ status: 500 }, "HUB_UNREACHABLE", /500/],
    [{ status: 429 }, "HUB_UNREACHABLE", /too many requests/],
  ] as const)("%o is %s", async (refuse, code, text) => {
    const { settings } = await hubWith({ refuse });
    await expectFailure(() => resolve(settings), code, text);
    if (code === "HUB_ACCESS") expect((await failureOf(() => resolve(settings))).remedy).toMatch(/HF_TOKEN/);
  });

  test("a revision that is not there", async () => {
    const { settings } = await hubWith();
    await expectFailure(() => resolve(settings, `hf:${REPOSITORY}@v2`), "HUB_NOT_FOUND", "no revision v2");
  });

  test("a model of another architecture, before its weights are downloaded", async () => {
    const { hub, settings } = await hubWith();
    hub.files.set("config.json", Buffer.from(JSON.stringify({ model_type: "bert", architectures: ["BertModel"] })));
    await expectFailure(() => resolve(settings), "ARCHITECTURE_UNSUPPORTED", "bert");
    expect(hub.asked.join()).not.toContain("model.safetensors");
  });

  test.each([
    ["GGUF alone", ["model-Q4_0.gguf"], /GGUF files, such as model-Q4_0.gguf/],
    ["pickled weights", ["config.json", "pytorch_model.bin"], /pytorch_model.bin/],
    ["neither", ["README.md"], /no config.json/],
  ])("a repository with %s", async (_, names, text) => {
    const { settings } = await hubWith({ files: new Map(names.map((name) => [name, Buffer.from("{}")])) });
    await expectFailure(() => resolve(settings), "MODEL_NOT_RECOGNISED", text);
  });

  test("an index that names files elsewhere", async () => {
    const files = checkpoint(2);
    const index = { weight_map: { a: "../../../outside.safetensors" } };
    files.set("model.safetensors.index.json", Buffer.from(JSON.stringify(index)));
    const { hub, settings } = await hubWith({ files });
    const folder = await resolve(settings);
    expect(hub.asked.join()).not.toContain("outside");
    await expectFailure(() => openCheckpoint(folder), "CHECKPOINT_CORRUPT", "outside");
  });

  test.each(["<html>", "[]", '{"sha": "../../x", "siblings": []}', '{"sha": null}'])(
    "an answer that is %s",
    async (says) => {
      const { settings } = await hubWith({ says });
      await expectFailure(() => resolve(settings), "HUB_INVALID", "did not answer with");
    },
  );

  test.each([
    "hf:",
    "hf:name",
    "hf:a/b/c.gguf",
    "hf:a/../b",
    "hf:../b",
    "hf:a/b@",
    "hf:a/b@../x",
    "hf:a--b/c",
    "hf:/b",
  ])("%s is no name", async (reference) => {
    const { hub, settings } = await hubWith();
    await expectFailure(() => resolve(settings, reference), "OPTION_INVALID", "hf:OWNER/NAME");
    expect(hub.asked).toEqual([]);
  });

  test("a cache that cannot be written", async () => {
    const { settings } = await hubWith();
    const blocked = join(settings.cache, "file");
    writeFileSync(blocked, "");
    const failure = await failureOf(() => resolve({ ...settings, cache: blocked }));
    expect(failure.code).toBe("FILE_UNWRITABLE");
    expect(failure.remedy).toMatch(/HF_HOME/);
  });

  test.skipIf(!existsSync("/dev/full"))("a disk that is full", async () => {
    const { hub, settings } = await hubWith();
    const blobs = join(settings.cache, FOLDER, "blobs");
    mkdirSync(blobs, { recursive: true });
    const config = hub.files.get("config.json") as Buffer;
    symlinkSync("/dev/full", join(blobs, `${etagOf("config.json", config)}.incomplete`));
    await expectFailure(() => resolve(settings), "FILE_UNWRITABLE", "full");
  });
});

describe("variables", () => {
  test("name the cache, in the order in which huggingface_hub takes them", () => {
    const home = "/h";
    const all = { XDG_CACHE_HOME: "/x", HF_HOME: home, HUGGINGFACE_HUB_CACHE: "/old", HF_HUB_CACHE: "/new" };
    expect(hubSettings(all).cache).toBe("/new");
    expect(hubSettings({ ...all, HF_HUB_CACHE: "" }).cache).toBe("/old");
    expect(hubSettings({ XDG_CACHE_HOME: "/x", HF_HOME: home }).cache).toBe("/h/hub");
    expect(hubSettings({ XDG_CACHE_HOME: "/x" }).cache).toBe("/x/huggingface/hub");
    expect(hubSettings({ XDG_CACHE_HOME: "relative" }).cache).toMatch(/\.cache\/huggingface\/hub$/);
  });

  test("and the token, which may lie in a file", () => {
    const home = temporaryFolder();
    writeFileSync(join(home, "token"), "hf_stored\n");
    expect(hubSettings({ HF_HOME: home, HF_TOKEN: "hf_said" }).token).toBe("hf_said");
    expect(hubSettings({ HF_HOME: home }).token).toBe("hf_stored");
    expect(hubSettings({ HF_HOME: home, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }).token).toBeNull();
    expect(hubSettings({ HF_HOME: join(home, "none") }).token).toBeNull();
  });

  test("and the hub, and whether it is asked", async () => {
    expect(hubSettings({ HF_ENDPOINT: "https://mirror.example/" }).endpoint).toBe("https://mirror.example");
    for (const on of ["1", "true", "YES", "on"]) expect(hubSettings({ HF_HUB_OFFLINE: on }).offline).toBe(true);
    for (const off of ["0", "", undefined]) expect(hubSettings({ HF_HUB_OFFLINE: off }).offline).toBe(false);
    await expectFailure(() => hubSettings({ HF_ENDPOINT: "mirror" }), "OPTION_INVALID", "HF_ENDPOINT");
  });
});

test("folders of a cache are known by what they are snapshots of", () => {
  expect(snapshotOf(`/c/${FOLDER}/snapshots/${COMMIT}`)).toEqual({ repository: REPOSITORY, revision: COMMIT });
  expect(snapshotOf(`/c/models--gpt2/snapshots/${COMMIT}`)).toEqual({ repository: "gpt2", revision: COMMIT });
  for (const path of [`/c/${FOLDER}/snapshots/main`, `/c/${FOLDER}/${COMMIT}`, `/c/mine/snapshots/${COMMIT}`, "/"])
    expect(snapshotOf(path)).toBeNull();
});
