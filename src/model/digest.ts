import { createHash } from "node:crypto";
import { basename } from "node:path";
import { startThreads } from "./conversion/threads.js";
import type { ByteFile } from "./formats/byte-file.js";
import type { ModelSpec } from "./spec.js";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/**
 * What latencies depend on: names and token ids are left out, so a model and its fine-tunes share a profile.
 * A new ModelSpec key changes every digest; documents made before it then no longer join, as they should not.
 */
export function architectureSha256(spec: ModelSpec): string {
  const { name: _name, bosTokenId: _bos, eosTokenIds: _eos, ...architecture } = spec;
  return sha256(canonicalJson(architecture));
}

/** One file: its own digest, as `sha256sum` prints it. Shards: that of the sorted list `name NUL digest LF`. */
export async function weightsSha256(files: readonly ByteFile[]): Promise<string> {
  if (files.length === 1) return files[0].sha256();
  const digests = await digestsOf(files);
  const lines = files.map(({ path }, i) => `${basename(path)}\0${digests[i]}\n`);
  return sha256(lines.sort().join(""));
}

/** Each file's digest is one long chain, but those of several files are made side by side. */
async function digestsOf(files: readonly ByteFile[]): Promise<string[]> {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const threads = startThreads(bytes, { most: files.length });
  const digests: string[] = [];
  try {
    if (threads === undefined) for (const file of files) digests.push(await file.sha256());
    else digests.push(...(await Promise.all(files.map((file) => threads.digest(file)))));
  } finally {
    await threads?.close();
  }
  return digests;
}

/** Keys sorted at every depth, so that the order of construction does not matter. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
