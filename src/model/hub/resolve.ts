/** MODEL as the command line has it -> what lies on this machine: `hf:OWNER/NAME` from the Hugging Face cache, filled first. */
import { copyFileSync, existsSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { errnoOf } from "../../core/blocking.js";
import { DraftplanError } from "../../core/errors.js";
import { makeFolder } from "../../core/folders.js";
import { type Progress, silentProgress } from "../../core/progress.js";
import { gib } from "../../core/text.js";
import { readHfConfig } from "../formats/hf-config.js";
import { freeBytes } from "../room.js";
import { CONFIG, cachedSnapshot, INDEX, readReference, shardsOf, WEIGHTS } from "./cached.js";
import { fileInfo, type Hub, modelInfo } from "./client.js";
import { downloadBlob, partOf, type Wanted } from "./download.js";
import { type Asked, cacheFailure, Unreachable, unreachable } from "./failures.js";
import { COMMIT, cacheFolderName, isHubReference, parseHubReference, referenceText } from "./reference.js";
import { type HubSettings, hubSettings } from "./settings.js";

const TOKENIZER = "tokenizer.json";
/** What is read beside configuration and weights, where a repository has it. */
const SMALL_FILES = [
  "generation_config.json",
  TOKENIZER,
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
];

/**
 * @param source MODEL; whatever is no `hf:OWNER/NAME[@REVISION]` is given back as it is
 * @returns the snapshot's folder in the Hugging Face cache, with all files that a model is read from
 * @throws OPTION_INVALID, HUB_NOT_FOUND, HUB_ACCESS, HUB_UNREACHABLE where the cache has not all of it either, HUB_INVALID,
 *   FILE_UNWRITABLE, what readHfConfig throws (before weights are downloaded), what Progress.tick throws
 */
export async function resolveModel(
  source: string,
  progress: Progress = silentProgress,
  settings: HubSettings = hubSettings(),
): Promise<string> {
  if (!isHubReference(source)) return source;
  const asked: Asked = { ...parseHubReference(source), endpoint: settings.endpoint };
  const place = join(settings.cache, cacheFolderName(asked.repository));
  const cached = cachedSnapshot(place, asked.revision);
  // a commit does not change; but other tools load weights alone, and a tokenizer when it is wanted
  if (cached !== null && COMMIT.test(asked.revision) && existsSync(join(cached, TOKENIZER))) return cached;
  if (settings.offline) {
    if (cached !== null) return cached;
    throw unreachable(asked, "the hub is not asked (HF_HUB_OFFLINE)");
  }
  try {
    return await fillCache({ asked, settings, progress }, place);
  } catch (cause) {
    if (!(cause instanceof Unreachable)) throw cacheFailure(cause, place);
    if (cached === null) throw unreachable(asked, cause.message, cause);
    progress.warn("HUB_OFFLINE", `${referenceText(asked)}: ${cause.message}; what the cache holds is used`);
    return cached;
  }
}

/** Small files first: what is refused is refused before gigabytes are downloaded. */
async function fillCache(hub: Hub, place: string): Promise<string> {
  await hub.progress.tick({ stage: `asking for ${hub.asked.repository}` });
  const { commit, files } = await modelInfo(hub);
  const weights = [WEIGHTS, INDEX].find((name) => files.includes(name));
  if (!files.includes(CONFIG) || weights === undefined) throw notReadable(hub.asked, files);
  const snapshot = join(place, "snapshots", commit);
  await fetchAll(hub, place, commit, [CONFIG]);
  readHfConfig(join(snapshot, CONFIG));
  await fetchAll(
    hub,
    place,
    commit,
    SMALL_FILES.filter((name) => files.includes(name)),
  );
  if (weights === INDEX) {
    await fetchAll(hub, place, commit, [INDEX]);
    await fetchAll(hub, place, commit, shardsOf(join(snapshot, INDEX)));
  } else await fetchAll(hub, place, commit, [WEIGHTS]);
  if (hub.asked.revision !== commit) {
    const reference = join(place, "refs", hub.asked.revision);
    makeFolder(dirname(reference));
    if (readReference(reference) !== commit) writeFileSync(reference, commit);
  }
  return snapshot;
}

/** Brings files of a commit into its snapshot, those that lie there already excepted. */
async function fetchAll(hub: Hub, place: string, commit: string, names: readonly string[]): Promise<void> {
  const snapshot = join(place, "snapshots", commit);
  const blobs = join(place, "blobs");
  const wanted: Wanted[] = [];
  for (const name of names)
    if (!existsSync(join(snapshot, name))) wanted.push({ name, commit, ...(await fileInfo(hub, commit, name)) });
  if (wanted.length === 0) return;
  for (const folder of [blobs, snapshot]) makeFolder(folder);
  const missing = wanted.filter(({ etag }) => !existsSync(join(blobs, etag)));
  const total = missing.reduce((sum, { bytes }) => sum + bytes, 0);
  const there = missing.reduce((sum, { etag }) => sum + sizeOf(partOf(blobs, etag)), 0);
  await requireCacheRoom(hub.asked, place, total - there);
  let done = 0;
  const MIB = 1 << 20;
  const report = { stage: `downloading ${hub.asked.repository} (MiB)`, total: Math.ceil(total / MIB) };
  const counting: Progress = {
    ...hub.progress,
    tick: (update) => hub.progress.tick(update ?? { ...report, done: Math.floor(done / MIB) }),
  };
  for (const file of wanted) {
    if (!existsSync(join(blobs, file.etag)))
      await downloadBlob({ ...hub, progress: counting }, blobs, file, (bytes) => {
        done += bytes;
      });
    link(join(blobs, file.etag), join(snapshot, file.name));
  }
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

/** As huggingface_hub does: a relative link, and a copy where the system allows none (Windows). */
function link(blob: string, name: string): void {
  try {
    symlinkSync(relative(dirname(name), blob), name);
  } catch (cause) {
    if (errnoOf(cause) === "EEXIST") return;
    if (errnoOf(cause) !== "EPERM") throw cause;
    copyFileSync(blob, name);
  }
}

async function requireCacheRoom(asked: Asked, place: string, bytes: number): Promise<void> {
  const free = await freeBytes(place);
  if (free === undefined || free >= bytes) return;
  throw new DraftplanError({
    code: "FILE_UNWRITABLE",
    at: place,
    what: `${asked.repository} takes ${gib(bytes)} more, and ${gib(free)} are free: ${gib(bytes - free)} are missing`,
    remedy: "Free space there, or set HF_HOME to a folder with room.",
  });
}

function notReadable(asked: Asked, files: readonly string[]): DraftplanError {
  const gguf = files.filter((name) => name.toLowerCase().endsWith(".gguf"));
  const pickled = files.some((name) => /^pytorch_model.*\.bin$/.test(name));
  const what = files.includes(CONFIG)
    ? `the repository has no ${WEIGHTS}${pickled ? ", but pytorch_model.bin, which may hold code" : ""}`
    : `the repository has no ${CONFIG}`;
  return new DraftplanError({
    code: "MODEL_NOT_RECOGNISED",
    at: referenceText(asked),
    what: gguf.length > 0 ? `${what}, but GGUF files, such as ${gguf[0].slice(0, 100)}` : what,
    remedy:
      gguf.length > 0
        ? `Download one (hf download ${asked.repository} FILE.gguf) and give its path.`
        : "Look for a repository of the same model in safetensors format.",
  });
}
