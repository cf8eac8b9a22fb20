/**
 * The few requests that reading a model takes (huggingface.co/docs/hub/api; headers as huggingface_hub 1.x reads them).
 *
 * Not @huggingface/hub (2.17.5; MIT, Node 18 on, 12 MB in 11 packages): its downloads begin anew after every interruption,
 * check no digest, print to stdout, and know neither a signal nor a limit of time; what is left of it is these requests.
 */
import { z } from "zod";
import type { Progress } from "../../core/progress.js";
import { type Asked, invalidAnswer, refusal, Unreachable } from "./failures.js";
import type { HubSettings } from "./settings.js";

export interface Hub {
  asked: Asked;
  settings: HubSettings;
  progress: Progress;
}

/** A file of a repository, by what its server says. */
export interface RemoteFile {
  bytes: number;
  /** names the blob in the cache: SHA-256 of large files, git's digest of small ones */
  etag: string;
}

/** Without a byte for so long, a connection is given up. */
const SILENCE_MS = 30_000;
const TICK_MS = 100;
const MAX_REDIRECTS = 5;

/** Waits so that an interruption ends it, and silence too. @throws Unreachable; what Progress.tick throws */
export async function patiently<T>(work: Promise<T>, progress: Progress, silenceMs = SILENCE_MS): Promise<T> {
  const started = performance.now();
  const outcome = work.then(
    (value) => ({ value }),
    (cause: unknown) => ({ cause }),
  );
  for (;;) {
    let timer: NodeJS.Timeout | undefined;
    const pause = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, TICK_MS, null);
    });
    const done = await Promise.race([outcome, pause]);
    clearTimeout(timer);
    if (done !== null) {
      if ("value" in done) return done.value;
      throw done.cause;
    }
    await progress.tick();
    if (performance.now() - started > silenceMs) throw new Unreachable(`the hub was silent for ${silenceMs / 1000} s`);
  }
}

/**
 * @param file of the repository, for what is said where there is none; null: the repository itself is asked for
 * @throws Unreachable where there is no network or the hub is in trouble, HUB_NOT_FOUND, HUB_ACCESS
 */
export async function request(
  { asked, settings, progress }: Hub,
  url: string,
  file: string | null,
  options: {
    method?: string;
    headers?: Record<string, string>;
    redirect?: "manual" | "follow";
    signal?: AbortSignal;
  } = {},
): Promise<Response> {
  const own = new URL(url).origin === new URL(settings.endpoint).origin;
  const headers = {
    "accept-encoding": "identity", // lengths are the files' own then
    "user-agent": "draftplan",
    ...(own && settings.token !== null ? { authorization: `Bearer ${settings.token}` } : {}),
    ...options.headers,
  };
  let response: Response;
  try {
    response = await patiently(fetch(url, { redirect: "follow", ...options, headers }), progress);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause; // fetch's own way to say that there is no connection
    throw new Unreachable(`${new URL(url).host} could not be reached (${reasonOf(cause)})`, { cause });
  }
  if (response.ok || (response.status >= 300 && response.status < 400)) return response;
  if (response.status === 405 || response.status === 501 || response.status === 416) return response; // asked in another way
  await response.body?.cancel();
  throw (
    refusal(asked, response, file, settings.token !== null) ??
    new Unreachable(
      `${new URL(url).host} answered ${response.status}${response.status === 429 ? ", too many requests" : ""}`,
    )
  );
}

function reasonOf(cause: TypeError): string {
  const inner = cause.cause;
  if (!(inner instanceof Error)) return cause.message;
  return "code" in inner && typeof inner.code === "string" ? inner.code : inner.message;
}

const ModelInfo = z.looseObject({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(z.looseObject({ rfilename: z.string() })),
});

/** The commit that a revision stands for, and the names of its files. */
export async function modelInfo(hub: Hub): Promise<{ commit: string; files: string[] }> {
  const { repository, revision, endpoint } = hub.asked;
  const url = `${endpoint}/api/models/${repository}/revision/${encodeURIComponent(revision)}`;
  const response = await request(hub, url, null);
  const answer = ModelInfo.safeParse(await jsonOf(hub, response));
  if (!answer.success) throw invalidAnswer(hub.asked, `${url} did not answer with a commit and a list of files`);
  return { commit: answer.data.sha, files: answer.data.siblings.map(({ rfilename }) => rfilename) };
}

async function jsonOf({ asked, progress }: Hub, response: Response): Promise<unknown> {
  try {
    return await patiently(response.json(), progress);
  } catch (cause) {
    if (cause instanceof SyntaxError) throw invalidAnswer(asked, `${response.url} did not answer with JSON`);
    if (cause instanceof TypeError) throw new Unreachable(`the connection to ${asked.endpoint} broke`, { cause });
    throw cause;
  }
}

export const fileUrl = ({ repository, endpoint }: Asked, commit: string, file: string): string =>
  `${endpoint}/${repository}/resolve/${commit}/${encodeURIComponent(file)}`;

/**
 * Size and digest of a file, without its bytes. Large files lie elsewhere: then the hub's own answer says both
 * (`X-Linked-Size`, `X-Linked-ETag`), and what is asked further on gets no token.
 */
export async function fileInfo(hub: Hub, commit: string, file: string): Promise<RemoteFile> {
  let url = fileUrl(hub.asked, commit, file);
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const response = await headOf(hub, url, file);
    const { headers } = response;
    const linked = headers.get("x-linked-etag");
    const location = headers.get("location");
    if (linked === null && location !== null && response.status >= 300) {
      url = new URL(location, url).href;
      continue;
    }
    const etag = (linked ?? headers.get("etag") ?? "").replace(/^W\//, "").replace(/^"(.*)"$/, "$1");
    const total = headers.get("content-range")?.split("/")[1] ?? headers.get("content-length");
    const bytes = Number(headers.get("x-linked-size") ?? total ?? Number.NaN);
    if (/^[\w-]{1,128}$/.test(etag) && Number.isSafeInteger(bytes) && bytes >= 0) return { bytes, etag };
    break;
  }
  throw invalidAnswer(hub.asked, `the hub did not say size and digest of ${file}`);
}

/** Some servers know no HEAD: one byte tells the same. */
async function headOf(hub: Hub, url: string, file: string): Promise<Response> {
  const response = await request(hub, url, file, { method: "HEAD", redirect: "manual" });
  if (response.status !== 405 && response.status !== 501) return response;
  const range = await request(hub, url, file, { headers: { range: "bytes=0-0" }, redirect: "manual" });
  await range.body?.cancel();
  return range;
}
